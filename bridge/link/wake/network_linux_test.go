package wake

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asChild makes this process the one whose network is changed.
const asChild = "SWITCHBOARD_WAKE_TEST"

// The network that comes and goes is that of another process, which has one of
// its own: that can be had without rights where users may have namespaces, and
// it changes nothing of the machine.
func TestWhatComesUpIsNoticed(t *testing.T) {
	for _, what := range []string{"an address", "an address of IPv6", "an interface"} {
		t.Run(what, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			child := exec.CommandContext(ctx, "/proc/self/exe")
			child.Env = append(os.Environ(), asChild+"="+what)
			child.SysProcAttr = &unix.SysProcAttr{
				Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
			}
			if out, err := child.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestOfWhatTheKernelTellsOnlyWhatComesUpIsNews(t *testing.T) {
	link := func(kind uint16, index, flags uint32) syscall.NetlinkMessage {
		body := binary.NativeEndian.AppendUint32(make([]byte, 4), index)
		body = binary.NativeEndian.AppendUint32(body, flags)
		return syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: kind}, Data: append(body, make([]byte, 4)...)}
	}
	address := func(kind uint16, flags byte) syscall.NetlinkMessage {
		return syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: kind}, Data: []byte{unix.AF_INET6, 64, flags, 0, 1, 0, 0, 0}}
	}
	const on, off = unix.IFF_UP | unix.IFF_RUNNING, unix.IFF_UP
	c := carriers{1: true}
	for _, step := range []struct {
		what    string
		message syscall.NetlinkMessage
		want    bool
	}{
		{"what was on is told of", link(unix.RTM_NEWLINK, 1, on), false},
		{"it loses its carrier", link(unix.RTM_NEWLINK, 1, off), false},
		{"it is told of again", link(unix.RTM_NEWLINK, 1, off), false},
		{"it has its carrier back", link(unix.RTM_NEWLINK, 1, on), true},
		{"another is made", link(unix.RTM_NEWLINK, 2, off), false},
		{"which comes up", link(unix.RTM_NEWLINK, 2, on), true},
		{"and goes", link(unix.RTM_DELLINK, 2, on), false},
		{"and comes again", link(unix.RTM_NEWLINK, 2, on), true},
		{"an address", address(unix.RTM_NEWADDR, unix.IFA_F_PERMANENT), true},
		{"an address that goes", address(unix.RTM_DELADDR, unix.IFA_F_PERMANENT), false},
		{"an address that may be another's", address(unix.RTM_NEWADDR, unix.IFA_F_TENTATIVE), false},
		{"too short an address", syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: unix.RTM_NEWADDR}, Data: []byte{1}}, false},
		{"too short a link", syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: unix.RTM_NEWLINK}, Data: []byte{1}}, false},
		{"something else", syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: unix.RTM_NEWROUTE}}, false},
	} {
		if got := c.news(step.message); got != step.want {
			t.Errorf("%s: news %v", step.what, got)
		}
	}
}

// inNamespace is the other process. It ends in it.
func inNamespace() {
	what := os.Getenv(asChild)
	if what == "" {
		return
	}
	if err := notices(what); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// notices changes the network until the watch tells of it. It is told nothing
// before.
func notices(what string) error {
	lo, err := newInterface("lo")
	if err != nil {
		return err
	}
	defer lo.close()
	change, undo := func() error { return lo.address(unix.AF_INET, unix.RTM_NEWADDR) }, func() error { return lo.address(unix.AF_INET, unix.RTM_DELADDR) }
	switch what {
	case "an address of IPv6":
		change, undo = func() error { return lo.address(unix.AF_INET6, unix.RTM_NEWADDR) }, func() error { return lo.address(unix.AF_INET6, unix.RTM_DELADDR) }
	case "an interface":
		change, undo = func() error { return lo.up(true) }, func() error { return lo.up(false) }
	default:
		if err := lo.up(true); err != nil {
			return err
		}
	}
	ctx, stop := context.WithTimeout(context.Background(), 10*time.Second)
	defer stop()
	woke := make(chan Reason, 100)
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = Watch(ctx, slog.New(slog.NewTextHandler(os.Stdout, nil)), func(r Reason) { woke <- r })
	}()
	defer func() { stop(); <-over }()
	again := time.NewTicker(200 * time.Millisecond) // it may not listen yet
	defer again.Stop()
	for {
		if err := change(); err != nil {
			return fmt.Errorf("change: %w", err)
		}
		select {
		case r := <-woke:
			if r != Network {
				return fmt.Errorf("told of %q", r)
			}
			return nil
		case <-again.C:
		case <-ctx.Done():
			return errors.New("it was not noticed")
		}
		if err := undo(); err != nil {
			return fmt.Errorf("undo: %w", err)
		}
	}
}

// netInterface changes an interface by netlink.
type netInterface struct {
	fd    int
	index uint32
}

func newInterface(name string) (*netInterface, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &netInterface{fd, uint32(i.Index)}, nil
}

func (i *netInterface) close() { _ = unix.Close(i.fd) }

func (i *netInterface) up(up bool) error {
	body := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[4:], i.index)
	if up {
		binary.NativeEndian.PutUint32(body[8:], unix.IFF_UP)
	}
	binary.NativeEndian.PutUint32(body[12:], unix.IFF_UP) // what is to change
	return i.ask(unix.RTM_NEWLINK, 0, body)
}

func (i *netInterface) address(family, kind int) error {
	ip := []byte{10, 7, 7, 7}
	if family == unix.AF_INET6 {
		ip = append([]byte{0xfd, 0x77}, make([]byte, 14)...)
	}
	body := []byte{byte(family), byte(len(ip) * 8), 0, unix.RT_SCOPE_UNIVERSE}
	body = binary.NativeEndian.AppendUint32(body, i.index)
	for _, attribute := range []uint16{unix.IFA_LOCAL, unix.IFA_ADDRESS} {
		body = binary.NativeEndian.AppendUint16(body, uint16(4+len(ip)))
		body = binary.NativeEndian.AppendUint16(body, attribute)
		body = append(body, ip...)
	}
	flags := 0
	if kind == unix.RTM_NEWADDR {
		flags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
	}
	return i.ask(kind, flags, body)
}

func (i *netInterface) ask(kind, flags int, body []byte) error {
	message := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	message = binary.NativeEndian.AppendUint16(message, uint16(kind))
	message = binary.NativeEndian.AppendUint16(message, uint16(unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags))
	message = append(message, make([]byte, 8)...)
	if err := unix.Sendto(i.fd, append(message, body...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(i.fd, answer, 0)
	if err != nil {
		return err
	}
	if n < unix.SizeofNlMsghdr+4 {
		return fmt.Errorf("an answer of %d bytes", n)
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
		return unix.Errno(-code)
	}
	return nil
}
