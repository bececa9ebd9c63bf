# Sourced by ../install.sh, whose words it uses: three clients of one source, an own folder of jars and classes each.
# shellcheck shell=bash

# java2_compile VERSION LIB SOURCE...
java2_compile() {
  local version=$1 out=$cache/java2/$1
  shift
  fresh "java2-$version" java2/pom*.xml java/src/Report.java "$@" && return
  rm -rf "$out/classes"
  mkdir -p "$out/classes"
  javac --release 11 -Xlint:all -Xlint:-classfile -Xlint:-processing -cp "$out/lib/*" -d "$out/classes" java/src/Report.java "$@"
  stamp "java2-$version"
}

install_java2() {
  need java javac mvn
  if ! fresh java2-lib java2/pom*.xml; then
    rm -rf "$cache/java2"
    # The modules' folder is one, so each names the folder of its own jars by its version.
    for pom in java2/pom-*.xml; do
      local version=${pom#java2/pom-}
      mvn --batch-mode --quiet -f "$pom" -Dmaven.repo.local="$cache/m2" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$cache/java2/${version%.xml}/lib"
    done
    stamp java2-lib
  fi
  java2_compile 2.0.4 java2/src/*.java java2/src-2.0.4/*.java
  java2_compile 2.4.3 java2/src/*.java java2/src-batch/*.java java2/src-2.4.3/*.java
  java2_compile 3 java2/src/*.java java2/src-batch/*.java java2/src-3/*.java
}
