package jpcache.pmem;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.function.Consumer;
import jpcache.base.DeviceLock;
import jpcache.base.Errno;
import jpcache.base.Posix;
import jpcache.base.Sizes;
import jpcache.base.UserException;
import org.jspecify.annotations.Nullable;

/**
 * Opens and creates persistent regions for writing: files on fsdax, devdax devices, and files on
 * tmpfs that stand in for them.
 *
 * <p>The region is this process's alone ({@link DeviceLock}), and all space is allocated before it
 * is stored to: a store that finds none left would be a SIGBUS inside libpmem, an error as if the
 * memory were gone. It is mapped through the locked descriptor, so that the file that is locked is
 * the file that is written.
 *
 * <p><b>Emulation.</b> libpmem takes tmpfs for ordinary memory unless PMEM_IS_PMEM_FORCE=1 stands
 * in the environment at the moment it is loaded. Nothing on tmpfs survives a power cut anyway, so
 * for a file there the variable is set first, if the user has not set it. From then on libpmem
 * believes any mapping to be persistent: what a file elsewhere really is we find out ourselves, by
 * MAP_SYNC, which the kernel grants on direct access alone.
 */
public final class PmemFiles {
  private static final String FORCE = "PMEM_IS_PMEM_FORCE";

  /** glibc's MAP_SHARED_VALIDATE | MAP_SYNC, on all architectures we run on. */
  private static final int SHARED_SYNC = 0x03 | 0x80000;

  private PmemFiles() {}

  /**
   * Opens an existing file or devdax device.
   *
   * @param binding null for the fastest that works
   * @throws UserException if it is missing, in use, empty or of a wrong kind
   */
  public static PmemRegion open(String path, @Nullable PmemBinding binding) {
    OpenMedia media = OpenMedia.open(path, Posix.O_RDWR);
    return allocated(media, lockAndMap(media, binding), region -> {});
  }

  /**
   * Opens what a cache is to be made on, and lets somebody look at what it holds before a file's
   * space is allocated. A block device as well, as {@link #openOffline} has it: whoever makes a
   * cache for the kernel makes it on one.
   *
   * @param check throws if it is not to be opened; the file or device is then as it was
   */
  public static PmemRegion openToFormat(
      String path, @Nullable PmemBinding binding, Consumer<PmemRegion> check) {
    OpenMedia media = OpenMedia.open(path, Posix.O_RDWR);
    boolean block = media.type() == OpenMedia.Type.BLOCK;
    PmemRegion region = block ? lockAndMapBlockDevice(media, binding) : lockAndMap(media, binding);
    return allocated(media, region, check);
  }

  private static PmemRegion allocated(
      OpenMedia media, PmemRegion region, Consumer<PmemRegion> check) {
    try {
      check.accept(region);
      if (media.type() == OpenMedia.Type.FILE) {
        allocate(media, 0, media.sizeBytes());
      }
      return region;
    } catch (Throwable e) {
      region.close();
      throw e;
    }
  }

  private static PmemRegion lockAndMap(OpenMedia media, @Nullable PmemBinding binding) {
    try {
      refuseBlockDevice(media);
      DeviceLock.exclusive(media.fd(), media.name());
      if (media.sizeBytes() == 0) {
        throw new UserException(media.name() + ": is empty; remove it and create it with a size");
      }
      return map(media, binding);
    } catch (RuntimeException e) {
      media.close();
      throw e;
    }
  }

  /**
   * Opens media to change a little of them, for tools: whatever {@link #open} does, and block
   * devices as well, such as the /dev/pmem0 that the kernel keeps its caches on. Of those nobody
   * else may have any part, mounts and other drivers included. They are mapped through the page
   * cache, and every store goes through the kernel.
   *
   * <p>Of a file only what is stored to is allocated, as it is stored to ({@link
   * AllocatingRegion}): tools write a little metadata, and a sparse image may not fit where it
   * lies.
   *
   * @param binding null for the fastest that works
   * @throws UserException if it is missing, in use, empty or of a wrong kind
   */
  public static PmemRegion openOffline(String path, @Nullable PmemBinding binding) {
    OpenMedia media = OpenMedia.open(path, Posix.O_RDWR);
    if (media.type() != OpenMedia.Type.BLOCK) {
      PmemRegion region = lockAndMap(media, binding);
      return media.type() == OpenMedia.Type.FILE
          ? new AllocatingRegion(region, (offset, length) -> allocate(media, offset, length))
          : region;
    }
    return lockAndMapBlockDevice(media, binding);
  }

  private static PmemRegion lockAndMapBlockDevice(OpenMedia media, @Nullable PmemBinding binding) {
    try {
      DeviceLock.exclusive(media.fd(), media.name());
      return mapBlockDevice(media, binding);
    } catch (RuntimeException e) {
      media.close();
      throw e;
    }
  }

  private static PmemRegion mapBlockDevice(OpenMedia media, @Nullable PmemBinding binding) {
    int claim = media.claim(Posix.O_RDWR, false);
    try {
      Libpmem libpmem = binding == null ? PmemBinding.loadFastest() : binding.load();
      int protection = Posix.PROT_READ | Posix.PROT_WRITE;
      long address = Posix.mmap(media.sizeBytes(), protection, Posix.MAP_SHARED, media.fd(), 0);
      if (address < 0) {
        throw new UserException(media.name() + ": cannot be mapped: " + Errno.text((int) -address));
      }
      return new LibpmemRegion(
          media.name(),
          PmemRegion.Kind.NOT_PMEM,
          libpmem,
          new Libpmem.Mapping(address, media.sizeBytes(), false),
          () -> {
            Posix.close(claim);
            media.close();
          });
    } catch (RuntimeException e) {
      Posix.close(claim);
      throw e;
    }
  }

  /**
   * Creates a file of a size, all zeros. The file itself, its size and its name are durable when
   * this returns.
   *
   * @param binding null for the fastest that works
   * @throws UserException if it exists, or the file system has not the space
   */
  public static PmemRegion create(String path, long sizeBytes, @Nullable PmemBinding binding) {
    if (sizeBytes <= 0) {
      throw new UserException(path + ": cannot be created with a size of " + sizeBytes);
    }
    OpenMedia media = OpenMedia.open(path, Posix.O_RDWR | Posix.O_CREAT | Posix.O_EXCL);
    try {
      DeviceLock.exclusive(media.fd(), path);
      long freeBytes = media.freeBytes();
      if (freeBytes >= 0 && freeBytes < sizeBytes) {
        throw noSpace(media, sizeBytes);
      }
      allocate(media, 0, sizeBytes);
      makeDurable(media);
      return map(media, binding);
    } catch (RuntimeException e) {
      remove(path);
      media.close();
      throw e;
    }
  }

  private static void makeDurable(OpenMedia media) {
    Path parent = Path.of(media.name()).toAbsolutePath().getParent();
    int directory = Posix.open(String.valueOf(parent), Posix.O_RDONLY, 0);
    int result = Posix.fdatasync(media.fd());
    if (result == 0) {
      result = Posix.fdatasync(directory);
    }
    Posix.close(directory);
    if (result < 0) {
      throw new UserException(media.name() + ": cannot be created: " + Errno.text(-result));
    }
  }

  private static void remove(String path) {
    try {
      Files.deleteIfExists(Path.of(path));
    } catch (IOException e) {
      // The failure that led here says more.
    }
  }

  private static void refuseBlockDevice(OpenMedia media) {
    if (media.type() == OpenMedia.Type.BLOCK) {
      throw new UserException(
          media.name()
              + ": is a block device, which is mapped through the page cache and not directly; use"
              + " a file on an fsdax file system (mount -o dax) or a devdax device (ndctl"
              + " create-namespace --mode=devdax)");
    }
  }

  private static void allocate(OpenMedia media, long offsetBytes, long lengthBytes) {
    int result = Posix.fallocate(media.fd(), offsetBytes, lengthBytes);
    if (result == -Errno.ENOSPC) {
      throw noSpace(media, lengthBytes);
    }
    if (result < 0) {
      throw new UserException(
          media.name()
              + ": "
              + Sizes.format(lengthBytes)
              + " cannot be allocated: "
              + Errno.text(-result));
    }
  }

  private static UserException noSpace(OpenMedia media, long sizeBytes) {
    return new UserException(
        media.name()
            + ": needs "
            + Sizes.format(sizeBytes)
            + ", but its file system has "
            + Sizes.format(media.freeBytes() >> 20 << 20)
            + " free");
  }

  private static PmemRegion map(OpenMedia media, @Nullable PmemBinding binding) {
    boolean tmpfs = media.onTmpfs();
    if (tmpfs && System.getenv(FORCE) == null) {
      Posix.setenv(FORCE, "1");
    }
    Libpmem libpmem = binding == null ? PmemBinding.loadFastest() : binding.load();
    Libpmem.Mapping mapping = libpmem.map(media.name(), media.procPath(), 0, 0, 0);
    return new LibpmemRegion(
        media.name(), kind(media, tmpfs, mapping), libpmem, mapping, media::close);
  }

  private static PmemRegion.Kind kind(OpenMedia media, boolean tmpfs, Libpmem.Mapping mapping) {
    if (!mapping.pmem()) {
      return PmemRegion.Kind.NOT_PMEM;
    }
    if (tmpfs) {
      return PmemRegion.Kind.EMULATED;
    }
    if (media.type() == OpenMedia.Type.DEVDAX || grantsMapSync(media)) {
      return PmemRegion.Kind.REAL;
    }
    // libpmem was told to believe it: by the user, who answers for it, or by us for another file.
    return System.getenv(FORCE) == null ? PmemRegion.Kind.NOT_PMEM : PmemRegion.Kind.EMULATED;
  }

  private static boolean grantsMapSync(OpenMedia media) {
    final long page = 4096;
    int protection = Posix.PROT_READ | Posix.PROT_WRITE;
    long address = Posix.mmap(page, protection, SHARED_SYNC, media.fd(), 0);
    if (address < 0) {
      return false;
    }
    Posix.munmap(address, page);
    return true;
  }
}
