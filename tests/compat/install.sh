#!/usr/bin/env bash
# Installs what a client program needs into tests/compat/.cache: `install.sh node|java|python|python-1.0|go ...`.
# Versions are pinned beside each program. What is there already, for the same pins and sources, is left alone.
set -euo pipefail
cd "$(dirname "$0")"
here=$PWD
cache=$here/.cache
mkdir -p "$cache"

need() {
  for tool in "$@"; do
    command -v "$tool" > /dev/null || { echo "install.sh: $tool is not installed, and this client needs it" >&2; exit 1; }
  done
}

# fresh NAME FILE...: is what NAME's stamp says of these files still so? Sets $now for `stamp`.
fresh() {
  local name=$1
  shift
  now=$(cat "$@" | sha256sum)
  [ "$(cat "$cache/$name.stamp" 2> /dev/null)" = "$now" ]
}

stamp() { echo "$now" > "$cache/$1.stamp"; }

install_node() {
  need node npm
  fresh node node/package.json node/package-lock.json && return
  mkdir -p "$cache/node"
  cp node/package.json node/package-lock.json "$cache/node/"
  (cd "$cache/node" && npm ci --ignore-scripts --no-bin-links --no-audit --no-fund)
  stamp node
}

install_java() {
  need java javac mvn
  if ! fresh java-lib java/pom.xml; then
    rm -rf "$cache/java/lib"
    mvn --batch-mode --quiet -f java/pom.xml -Dmaven.repo.local="$cache/m2" dependency:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$cache/java/lib"
    stamp java-lib
  fi
  if ! fresh java java/pom.xml java/src/*.java; then
    rm -rf "$cache/java/classes"
    mkdir -p "$cache/java/classes"
    javac --release 11 -Xlint:all -cp "$cache/java/lib/*" -d "$cache/java/classes" java/src/*.java
    stamp java
  fi
}

# install_python 0.1|1.0
install_python() {
  need python3
  fresh "python-$1" "python/requirements-$1.txt" && return
  rm -rf "$cache/python-$1"
  python3 -m venv "$cache/python-$1"
  "$cache/python-$1/bin/pip" install --quiet --requirement "python/requirements-$1.txt"
  stamp "python-$1"
}

install_go() {
  need go
  fresh go go/go.mod go/go.sum go/*.go && return
  (cd go && GOPATH="$cache/go" GOFLAGS="-mod=readonly -modcacherw" GOTOOLCHAIN=local go build -o "$cache/go-client" .)
  stamp go
}

for name in "$@"; do
  case $name in
    node) install_node ;;
    java) install_java ;;
    python) install_python 0.1 ;;
    python-1.0) install_python 1.0 ;;
    go) install_go ;;
    *) echo "install.sh: no client is called $name" >&2; exit 1 ;;
  esac
done
