# Shared by the scripts here; sourced, not run. Bash.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\033[1m==>\033[0m %s\n' "$*"; }
[ -t 1 ] && [ -z "${NO_COLOR:-}" ] || say() { printf '==> %s\n' "$*"; }

# What is wrong, and what to do about it.
die() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf '  what to do: %s\n' "$2" >&2
    exit 1
}

# As root, or through sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root: $*" "run it as root, or install sudo"
    fi
}

default_data() {
    if [ "$(id -u)" = 0 ]; then echo /var/lib/evenkeel; else echo "${XDG_DATA_HOME:-$HOME/.local/share}/evenkeel"; fi
}

# ---- Docker

docker_socket=/var/run/docker.sock
case ${DOCKER_HOST:-} in unix:///*) docker_socket=${DOCKER_HOST#unix://} ;; esac

docker_answers() { curl -fsS -m 5 --unix-socket "$docker_socket" http://docker/_ping >/dev/null 2>&1; }

# A dockerd of our own where none runs; the pid file, with the start time, is how stop_docker knows it.
start_docker() { # LOG PID-FILE
    local log=$1 file=$2 pid
    ! docker_answers || return 0
    [ "$docker_socket" = /var/run/docker.sock ] || die "Docker does not answer at $docker_socket" "start it, or unset DOCKER_HOST"
    [ ! -S "$docker_socket" ] || [ "$(id -u)" = 0 ] || [ -w "$docker_socket" ] || die "Docker's socket is closed to $(id -un)" "run as root, or join the group docker"
    [ "$(id -u)" = 0 ] || die "Docker does not run" "start it as root, then run this again"
    say "starting dockerd (log: $log)"
    setsid dockerd >>"$log" 2>&1 </dev/null &
    pid=$!
    echo "$pid $(cut -d ' ' -f 22 "/proc/$pid/stat")" >"$file"
    for _ in $(seq 150); do
        ! docker_answers || return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.2
    done
    tail -n 5 "$log" >&2
    die "dockerd does not come up" "look at $log"
}

# Only the process that start_docker started: the same pid with the same start time.
stop_docker() { # PID-FILE
    local file=$1 pid started
    [ -f "$file" ] || return 0
    read -r pid started <"$file"
    if [ "$(cut -d ' ' -f 22 "/proc/$pid/stat" 2>/dev/null)" = "$started" ]; then
        say "stopping dockerd (pid $pid), which was started here"
        kill "$pid"
        for _ in $(seq 300); do
            [ -d "/proc/$pid" ] || break
            sleep 0.1
        done
        [ ! -d "/proc/$pid" ] || die "dockerd (pid $pid) does not stop" "what it says is in its log"
    fi
    rm -f "$file"
}
