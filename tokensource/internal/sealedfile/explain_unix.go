//go:build unix

package sealedfile

import (
	"io/fs"
	"syscall"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
)

var causes = []cause{
	{syscall.ENOSPC, adviceFull},
	{syscall.EDQUOT, adviceQuota},
	{syscall.EROFS, adviceReadOnly},
	{filelock.ErrUnsupported, adviceNoLocks},
	{syscall.ENOLCK, adviceNoLocks},
	{syscall.ESTALE, adviceStale},
	{fs.ErrPermission, adviceDenied},
}
