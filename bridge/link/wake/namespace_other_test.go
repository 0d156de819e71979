//go:build !linux

package wake

func inNamespace() {}
