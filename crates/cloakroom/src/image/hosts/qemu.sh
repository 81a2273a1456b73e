#!/bin/sh
# Boots the appliance under QEMU's microvm machine. Arguments go to QEMU.
#
#   ACCEL      kvm (default), or tcg: emulated. Emulation is for trying out: QEMU does not call it a security boundary.
#   DATA       the data disk, made once: truncate -s 1G data.img && mkfs.ext4 -q data.img; or memory: all is gone at the end
#   KEK        a file with the passphrase that the key-encryption key is made from (optional)
#   TPM        the control socket of a TPM in software (swtpm), which the machine measures itself into (optional)
#   WORKLOADS  QEMU's backend for the wire to the workloads, such as tap,ifname=cloakroom-w,script=no,downscript=no
#              or no card: vsock:CID, a number on this host's vsock; vsock:/PATH, a socket of vhost-device-vsock, which joins guests to each other
#   OUTSIDE    the same for the wire to the destinations; user: through this machine
#   OUTSIDE_ADDRESS  its address, such as 10.0.2.15/24,via=10.0.2.2 (the default); or dhcp: a server on that wire lends one
#   OPERATOR   the same for the operators' wire; the default reaches it at 127.0.0.1:8482 of this machine
#   CONSOLE    the serial port, where the appliance says what it does, and hears the word "stop"
set -eu
image=$(cd "$(dirname "$0")" && pwd)
: "${ACCEL:=kvm}" "${MEMORY:=512}" "${CPUS:=1}" "${CONSOLE:=stdio}" "${KEK:=}" "${TPM:=}" "${EXTRA:=}"
: "${DATA:?name the data disk, or say memory}" "${WORKLOADS:?name the wire to the workloads}"
: "${OUTSIDE:=user}"
: "${OPERATOR:=user,restrict=on,net=10.79.0.0/24,hostfwd=tcp:127.0.0.1:8482-10.79.0.15:8482}"
: "${WORKLOADS_ADDRESS:=10.77.0.1/24}" "${OUTSIDE_ADDRESS:=10.0.2.15/24,via=10.0.2.2}" "${OPERATOR_ADDRESS:=10.79.0.15/24}"

cpu=host
machine=microvm,rtc=on,pit=off,pic=off
line="console=ttyS0 quiet loglevel=1 reboot=t panic=-1 random.trust_cpu=on"
if [ "$ACCEL" = tcg ]; then
  # Nothing else tells an emulated machine how fast its clock is.
  cpu=max
  line="$line tsc_early_khz=2000000 mitigations=off"
fi
case "$WORKLOADS" in
  vsock:/*)
    # The device is another process, and has to see the machine's memory.
    machine="$machine,memory-backend=shared"
    set -- -object "memory-backend-memfd,id=shared,size=${MEMORY}M,share=on" \
      -chardev "socket,id=vsock,path=${WORKLOADS#vsock:}" -device vhost-user-vsock-device,chardev=vsock "$@"
    workloads=vsock ;;
  vsock:*)
    set -- -device "vhost-vsock-device,guest-cid=${WORKLOADS#vsock:}" "$@"
    workloads=vsock ;;
  *)
    set -- -netdev "$WORKLOADS,id=workloads" -device virtio-net-device,netdev=workloads,mac=52:54:00:c1:00:01 "$@"
    workloads="52:54:00:c1:00:01,$WORKLOADS_ADDRESS" ;;
esac
line="$line cloakroom.workloads=$workloads"
line="$line cloakroom.outside=52:54:00:c1:00:02,$OUTSIDE_ADDRESS"
line="$line cloakroom.operator=52:54:00:c1:00:03,$OPERATOR_ADDRESS"
if [ "$DATA" = memory ]; then
  line="$line cloakroom.data=memory"
else
  line="$line cloakroom.data=/dev/vda"
  set -- -drive "if=none,id=data,format=raw,file=$DATA" -device virtio-blk-device,drive=data "$@"
  if [ -n "$KEK" ]; then
    line="$line cloakroom.kek=/dev/vdb"
    set -- "$@" -drive "if=none,id=kek,format=raw,readonly=on,file=$KEK" -device virtio-blk-device,drive=kek
  fi
fi
if [ -n "$TPM" ]; then
  # This machine has no table that says where its TPM is; the driver is told to look where one always is.
  line="$line cloakroom.tpm=/dev/tpmrm0 tpm_tis.force=1 tpm_tis.interrupts=0"
  set -- "$@" -chardev "socket,id=tpm,path=$TPM" -tpmdev emulator,id=tpm,chardev=tpm -device tpm-tis,tpmdev=tpm
fi
exec qemu-system-x86_64 -M "$machine" -accel "$ACCEL" -cpu "$cpu" -m "$MEMORY" -smp "$CPUS" \
  -nodefaults -no-user-config -display none -no-reboot \
  -sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny \
  -serial "$CONSOLE" -kernel "$image/vmlinux" -initrd "$image/initramfs.cpio" -append "$line $EXTRA" \
  -device virtio-rng-device \
  -netdev "$OUTSIDE,id=outside" -device virtio-net-device,netdev=outside,mac=52:54:00:c1:00:02 \
  -netdev "$OPERATOR,id=operator" -device virtio-net-device,netdev=operator,mac=52:54:00:c1:00:03 \
  "$@"
