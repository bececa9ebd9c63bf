#!/usr/bin/env bash
# Puts Nacos's naming server into DIR, for `load … --nacos DIR`: jars in lib, our main class and settings in classes.
# Wants Maven, and a JDK of 11 to 17.
set -euo pipefail
[ $# -eq 1 ] || { echo "install.sh DIR" >&2; exit 2; }
for tool in mvn javac java; do
  command -v "$tool" > /dev/null || { echo "install.sh: $tool is not installed" >&2; exit 1; }
done
mkdir -p "$1"
into=$(cd "$1" && pwd)
cd "$(dirname "$0")"
rm -rf "$into/lib" "$into/classes"
mkdir "$into/classes"
mvn --batch-mode --quiet dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$into/lib"
javac --release 11 -proc:none -cp "$into/lib/*" -d "$into/classes" Naming.java
cp application.properties "$into/classes/"
