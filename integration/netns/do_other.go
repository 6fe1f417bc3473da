//go:build !linux

package netns

// Do calls f in a namespace, where there are any; with an empty name, where the caller is.
func Do(namespace string, f func() error) error {
	if namespace == "" {
		return f()
	}
	return ErrUnsupported
}
