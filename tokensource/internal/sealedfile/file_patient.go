package sealedfile

import "time"

// patiently tries for up to two seconds while someone has a file open that
// Windows does not let go of before: a reader, or a virus scanner.
func patiently(try func() error, busy func(error) bool) error {
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if err := try(); err == nil || !busy(err) || time.Now().After(end) {
			return err
		}
	}
}
