// Package gro lets the kernel of Linux put received datagrams of one source together (UDP_GRO), and takes them apart again: a
// system call then brings several times as much. Elsewhere it does nothing.
//
// What the kernel hands over is one buffer of up to 64 KiB with packets of one size, the last may be shorter, and a control
// message with that size: level SOL_UDP, type UDP_GRO, a C int in the byte order of the machine. Nothing here is of a peer's
// making but the packets, which are not looked into.
package gro
