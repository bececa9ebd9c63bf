#!/usr/bin/env bash
# Installs what a client program needs into tests/compat/.cache: `install.sh NAME ...`, names as in the last lines.
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

# install_python NAME REQUIREMENTS: into a virtual environment of that name
install_python() {
  need python3
  fresh "$1" "$2" && return
  rm -rf "${cache:?}/$1"
  python3 -m venv "$cache/$1"
  "$cache/$1/bin/pip" install --quiet --requirement "$2"
  stamp "$1"
}

install_go() {
  need go
  fresh go go/go.mod go/go.sum go/*.go && return
  (cd go && GOPATH="$cache/go" GOFLAGS="-mod=readonly -modcacherw" GOTOOLCHAIN=local go build -o "$cache/go-client" .)
  stamp go
}

install_go2() {
  need go
  fresh go2 go2/go.mod go2/go.sum go2/*.go && return
  (cd go2 && GOPATH="$cache/go" GOFLAGS="-mod=readonly -modcacherw" GOTOOLCHAIN=local go build -o "$cache/go2-client" .)
  stamp go2
}

# The client takes TLS for every connection or for none, so there are two builds; they share what does not depend on it.
install_rust() {
  need cargo
  fresh rust rust/Cargo.toml rust/Cargo.lock rust/src/*.rs && return
  for feature in "" tls; do
    (cd rust && cargo build --quiet --locked ${feature:+--features $feature} --target-dir "$cache/rust")
    cp "$cache/rust/debug/compat-rust" "$cache/rust-client${feature:+-$feature}"
  done
  stamp rust
}

# What lies in a folder of its own and says itself how it is installed.
for own in java2 spring; do
  # shellcheck source=/dev/null
  if [ -f "$own/install.sh" ]; then . "$own/install.sh"; fi
done

install_one() {
  case $1 in
    node) install_node ;;
    java) install_java ;;
    python) install_python python-0.1 python/requirements-0.1.txt ;;
    python-1.0) install_python python-1.0 python/requirements-1.0.txt ;;
    python-2) install_python python-2 python2/requirements-2.0.txt ;;
    python-3) install_python python-3 python2/requirements-3.2.txt ;;
    go) install_go ;;
    go2) install_go2 ;;
    rust) install_rust ;;
    java2) install_java2 ;;
    spring) install_spring ;;
    *) echo "install.sh: no client is called $1" >&2; return 1 ;;
  esac
}

# One lane a tool: some wait for the network while others compile, and no two share a repository of jars.
declare -A lanes=()
for name in "$@"; do
  case $name in
    java* | spring) lane=java ;;
    python*) lane=python ;;
    go*) lane=go ;;
    *) lane=$name ;;
  esac
  lanes[$lane]+=" $name"
done
running=()
for lane in "${!lanes[@]}"; do
  # shellcheck disable=SC2086 # names are words
  (for name in ${lanes[$lane]}; do install_one "$name"; done) &
  running+=($!)
done
failed=0
for pid in "${running[@]}"; do wait "$pid" || failed=1; done
exit "$failed"
