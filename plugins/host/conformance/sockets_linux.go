package conformance

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// watchEvery is how often the kernel is asked: a connection that is refused at
// once can be missed, one that is used cannot.
const watchEvery = 2 * time.Millisecond

// watchSockets looks at which network sockets a process has, until stop.
func watchSockets(pid int) (seen func() []string, stop func(), err error) {
	if _, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err != nil {
		return nil, nil, err
	}
	var found []string
	done := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for {
			for _, s := range networkSockets(pid) {
				if !slices.Contains(found, s) {
					found = append(found, s)
				}
			}
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	stop = sync.OnceFunc(func() { close(done); watching.Wait() })
	return func() []string { stop(); return found }, stop, nil
}

// networkSockets are the sockets of a process that are not Unix sockets, such
// as "tcp". Only those that are bound or connected are in the kernel's tables.
func networkSockets(pid int) []string {
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		return nil
	}
	held := map[string]bool{}
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil {
			if inode, ok := strings.CutPrefix(to, "socket:["); ok {
				held[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	var found []string
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
			// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode …
			if fields := strings.Fields(lines.Text()); len(fields) > 9 && held[fields[9]] && !slices.Contains(found, table) {
				found = append(found, table)
			}
		}
	}
	return found
}
