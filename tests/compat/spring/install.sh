# Sourced by ../install.sh, whose words it uses: jars of one release train, the few sources compiled beside them.
# shellcheck shell=bash

install_spring() {
  need java javac mvn
  if ! fresh spring-lib spring/pom.xml; then
    rm -rf "$cache/spring/lib"
    mvn --batch-mode --quiet -f spring/pom.xml -Dmaven.repo.local="$cache/m2" dependency:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$cache/spring/lib"
    stamp spring-lib
  fi
  if ! fresh spring spring/pom.xml spring/src/*.java java/src/Report.java; then
    rm -rf "$cache/spring/classes" "$cache/spring/src"
    mkdir -p "$cache/spring/classes" "$cache/spring/src"
    # Spring needs its beans in a package, and the report's words are those of the other Java programs.
    { echo 'package compat;'; cat java/src/Report.java; } > "$cache/spring/src/Report.java"
    javac --release 17 -parameters -Xlint:all -Xlint:-classfile -Xlint:-processing -cp "$cache/spring/lib/*" -d "$cache/spring/classes" \
      "$cache/spring/src/Report.java" spring/src/*.java
    stamp spring
  fi
}
