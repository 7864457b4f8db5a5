# shellcheck shell=bash
# Sourced by the benches of ci/, from the checkout: builds the classes of tests/bench. "${java[@]}" CLASS
# runs one as ./jpcache serve runs.
JAVA_HOME=$(./jpcache --java-home)
export JAVA_HOME PMEM_IS_PMEM_FORCE=1
mvn -q -B -ntp -Pbench test-compile dependency:build-classpath -Dmdep.outputFile=target/bench.classpath </dev/null
# shellcheck disable=SC2034 # for those who source it
java=("$JAVA_HOME/bin/java" --enable-native-access=ALL-UNNAMED -XX:+UseG1GC -XX:+UseTransparentHugePages
  -cp "target/classes:target/test-classes:$(cat target/bench.classpath)")
