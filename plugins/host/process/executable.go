package process

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
)

// ChecksumError says that an executable is not the one that was expected.
type ChecksumError struct {
	Path     string
	Expected []byte
	Actual   []byte
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("checksum of %s: expected sha256 %x, is %x", e.Path, e.Expected, e.Actual)
}

// checkExecutable finds what is wrong with the file before the kernel says
// less about it.
func checkExecutable(c Command) error {
	if !filepath.IsAbs(c.Path) {
		return problem("write the path in full", "path %q is not absolute", c.Path)
	}
	info, err := os.Stat(c.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem("install it there or mend the path", "%w", err)
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return problem("name the executable itself", "%s is not a file", c.Path)
	case info.Mode()&0o111 == 0:
		return problem("run chmod +x on it", "%s is not executable: %w", c.Path, fs.ErrPermission)
	case c.SHA256 == nil:
		return nil
	}
	sum, err := hashFile(c.Path)
	if err != nil {
		return err
	}
	if !bytes.Equal(sum, c.SHA256) {
		return &StartError{
			Err:  &ChecksumError{Path: c.Path, Expected: c.SHA256, Actual: sum},
			Hint: "if the file was replaced on purpose, put the new checksum into the configuration",
		}
	}
	return nil
}

func hashFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read its checksum: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, fmt.Errorf("read its checksum: %w", err)
	}
	return h.Sum(nil), nil
}

// explainExec says what the kernel meant when it would not execute path.
func explainExec(path string, err error) error {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	switch errno {
	case syscall.ENOEXEC:
		return problem("build it for this machine, or begin the script with #!",
			"%s is not a program for %s/%s: %w", path, runtime.GOOS, runtime.GOARCH, errno)
	case syscall.ENOENT:
		return problem("install what its first line or its linker asks for",
			"the interpreter or loader of %s is missing: %w", path, errno)
	case syscall.EACCES:
		return problem("check owner and mode of the file and its directories, and its mount for noexec",
			"the host's user may not execute %s: %w", path, errno)
	}
	return err
}
