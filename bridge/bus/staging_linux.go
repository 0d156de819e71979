package bus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// memory is where Linux has a file system that is in memory.
	memory = "/dev/shm"
	// stagingRoom is how much must be free there: a few batches.
	stagingRoom = 32 * mib
)

// stage has the embedded server keep the batches that are not whole yet in
// memory. It writes each to files of its own first, synced, and removes them
// when the batch is in the stream: so it can finish one that a crash of the
// machine cut in half. We need that from no crash but the process's own, which
// these files outlive: nothing of half a batch was acknowledged, and each
// message in it has an id. Without the disk, a batch costs one fsync.
//
// An error says that all is as it was, which is slower and no less safe.
func stage(dataDir string, streams ...string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(memory, &fs); err != nil {
		return fmt.Errorf("look at %s: %w", memory, err)
	}
	if fs.Type != unix.TMPFS_MAGIC || fs.Bavail*uint64(fs.Bsize) < stagingRoom {
		return fmt.Errorf("%s is not in memory, or full", memory)
	}
	dir, err := stagingDir(dataDir)
	if err != nil {
		return err
	}
	for _, stream := range streams {
		target := filepath.Join(dir, stream)
		// What a batch of a killed bridge left; the server has read it.
		if err := errors.Join(os.RemoveAll(target), os.MkdirAll(target, 0o700)); err != nil {
			return err
		}
		stores, err := filepath.Glob(filepath.Join(dataDir, "nats", "jetstream", "*", "streams", stream))
		if err != nil {
			return err
		}
		for _, store := range stores {
			link := filepath.Join(store, "batches")
			if err := errors.Join(os.RemoveAll(link), os.Symlink(target, link)); err != nil {
				return err
			}
		}
	}
	return nil
}

// unstage removes what is in memory.
func unstage(dataDir string) error {
	dir, err := stagingDir(dataDir)
	if err != nil {
		return err
	}
	return os.RemoveAll(dir)
}

// stagingDir is the directory of that data directory, made for this user alone:
// others may write beside it. It is named for what the directory is rather than
// for its path, which two containers may share.
func stagingDir(dataDir string) (string, error) {
	var data unix.Stat_t
	if err := unix.Stat(dataDir, &data); err != nil {
		return "", fmt.Errorf("look at %s: %w", dataDir, err)
	}
	dir := filepath.Join(memory, fmt.Sprintf("switchboard-%d-%x-%x", os.Getuid(), data.Dev, data.Ino))
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	if s, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || info.Mode().Perm() != 0o700 || int(s.Uid) != os.Getuid() {
		return "", fmt.Errorf("%s is another user's", dir)
	}
	return dir, nil
}
