package fleet_test

import "errors"

// become cannot be had here.
func (j job) become() error {
	if j.User != 0 {
		return errors.New("a process cannot become another user")
	}
	return nil
}
