// Package fault breaks things for tests: a UDP link that loses, delays, reorders, doubles, damages or cuts packets, and
// a killer of processes at random moments.
//
// Everything random comes from a seed that the test prints, so that a failure can be tried again. Times are wall-clock,
// so a seed repeats the decisions, not the schedule. Sockets are on 127.0.0.1, unless a test brings its own.
package fault
