package peer

import (
	"os/exec"
	"syscall"
)

// dieWithParent makes the kernel kill the child when the process that started it is gone, so that a test binary that
// is killed leaves nothing running.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
