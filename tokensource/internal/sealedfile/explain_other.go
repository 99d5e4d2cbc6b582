//go:build !unix && !windows

package sealedfile

import (
	"io/fs"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
)

var causes = []cause{
	{filelock.ErrUnsupported, adviceNoLocks},
	{fs.ErrPermission, adviceDenied},
}
