#!/bin/sh
# Boots the appliance under Cloud Hypervisor. The taps exist already; DATA is an ext4 disk. Arguments go to cloud-hypervisor.
set -eu
image=$(cd "$(dirname "$0")" && pwd)
: "${DATA:?name the data disk}" "${MEMORY:=512M}" "${CPUS:=1}"
: "${WORKLOADS:=tap=cloakroom-w}" "${OUTSIDE:=tap=cloakroom-o}" "${OPERATOR:=tap=cloakroom-p}"
: "${WORKLOADS_ADDRESS:=10.77.0.1/24}" "${OUTSIDE_ADDRESS:=10.78.0.2/24,via=10.78.0.1}" "${OPERATOR_ADDRESS:=10.79.0.15/24}"
line="console=ttyS0 quiet loglevel=1 panic=-1 random.trust_cpu=on cloakroom.data=/dev/vda"
line="$line cloakroom.workloads=52:54:00:c1:00:01,$WORKLOADS_ADDRESS"
line="$line cloakroom.outside=52:54:00:c1:00:02,$OUTSIDE_ADDRESS"
line="$line cloakroom.operator=52:54:00:c1:00:03,$OPERATOR_ADDRESS"
exec cloud-hypervisor --kernel "$image/vmlinux" --initramfs "$image/initramfs.cpio" --cmdline "$line" \
  --cpus "boot=$CPUS" --memory "size=$MEMORY" --serial tty --console off --disk "path=$DATA" \
  --net "$WORKLOADS,mac=52:54:00:c1:00:01" "$OUTSIDE,mac=52:54:00:c1:00:02" "$OPERATOR,mac=52:54:00:c1:00:03" \
  "$@"
