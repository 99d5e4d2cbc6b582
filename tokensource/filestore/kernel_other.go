//go:build !linux

package filestore

import (
	"github.com/seed-9a12f4e2/pawl/internal/filelock"
	"github.com/seed-9a12f4e2/pawl/tokensource"
)

func newKernelKey(string, string, *filelock.Locks) (keys, error) {
	return nil, &tokensource.Error{
		Reason: tokensource.ReasonStore, Advice: "keep the key elsewhere", Err: ErrNoKernelKeyring}
}
