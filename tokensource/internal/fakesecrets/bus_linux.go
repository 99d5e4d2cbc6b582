package fakesecrets

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Bus is a private session bus. Its methods are for one goroutine.
type Bus struct {
	// Address is what DBUS_SESSION_BUS_ADDRESS is set to.
	Address string
	// Dir is the directory that it was given.
	Dir string

	cmd *exec.Cmd
}

// busConfig lets everybody do everything. Without a service directory a bus
// starts nothing.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=%[1]s/bus</listen>%[2]s<policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`

// StartBus starts a dbus-daemon whose files are in dir. Where activatable is
// not empty, it is the program that the bus starts when somebody calls the
// secret service. The bus ends with this process at the latest.
func StartBus(dir, activatable string) (*Bus, error) {
	services := ""
	if activatable != "" {
		services = "<servicedir>" + dir + "</servicedir>"
		text := "[D-BUS Service]\nName=" + serviceName + "\nExec=" + activatable + "\n"
		if err := os.WriteFile(filepath.Join(dir, serviceName+".service"), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	config := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, busConfig, dir, services), 0o600); err != nil {
		return nil, err
	}
	b := &Bus{Dir: dir, cmd: exec.Command("dbus-daemon", "--nofork", "--print-address=1", "--config-file="+config)}
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Kill()
		return nil, fmt.Errorf("fakesecrets: dbus-daemon says no address: %w", err)
	}
	b.Address = strings.TrimSpace(address)
	return b, nil
}

// Stop stops the bus with SIGSTOP, and Continue lets it go on.
func (b *Bus) Stop() error { return b.cmd.Process.Signal(syscall.SIGSTOP) }

// Continue lets a stopped bus go on.
func (b *Bus) Continue() error { return b.cmd.Process.Signal(syscall.SIGCONT) }

// Kill kills the bus with SIGKILL and waits until it is gone.
func (b *Bus) Kill() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
}
