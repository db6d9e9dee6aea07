#!/usr/bin/env bash
# Runs a command where OpenCL has a device on any Linux machine: PoCL 6, which makes one of CPU threads, in a folder with Debian 13.
#   Ptp.Gpu/pocl.sh FOLDER COMMAND...      e.g.  Ptp.Gpu/pocl.sh ~/trixie dotnet test Ptp.Tests -c Release --no-build --filter 'FullyQualifiedName~Gpu'
# The first run fills the folder (root, debootstrap, 800 MB, a minute or two); Debian 12's PoCL 3.1 cannot run what ILGPU writes.
set -euo pipefail
if [ $# -lt 2 ]; then sed -n '2,4p' "$0" | cut -c3-; exit 2; fi
folder=$(mkdir -p "$1" && cd "$1" && pwd); shift
root=$(cd "$(dirname "$0")/.." && pwd)
sdk=$(dirname "$(readlink -f "$(command -v dotnet)")")

if [ ! -e "$folder/usr/lib/x86_64-linux-gnu/libOpenCL.so.1" ]; then
  debootstrap --variant=minbase --include=pocl-opencl-icd,ocl-icd-libopencl1,libicu76,ca-certificates trixie "$folder"
fi

# Its own mounts, gone with the command: the repository, the SDK and the packages at the places where they are outside.
exec unshare --mount bash -c '
  folder=$1 root=$2 sdk=$3; shift 3
  packages=${NUGET_PACKAGES:-$HOME/.nuget/packages}
  for at in /proc /sys /dev /tmp "$root" "$sdk" "$packages"; do
    mkdir -p "$folder$at"; mount --rbind "$at" "$folder$at"
  done
  exec chroot "$folder" env HOME=/root NUGET_PACKAGES="$packages" DOTNET_ROOT="$sdk" PATH="$sdk:/usr/bin:/bin" \
    bash -c "cd \"\$0\"; exec \"\$@\"" "$root" "$@"' bash "$folder" "$root" "$sdk" "$@"
