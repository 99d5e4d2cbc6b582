package sealedfile

import (
	"io/fs"

	"golang.org/x/sys/windows"

	"github.com/seed-9a12f4e2/pawl/internal/filelock"
)

var causes = []cause{
	{windows.ERROR_DISK_FULL, adviceFull},
	{windows.ERROR_HANDLE_DISK_FULL, adviceFull},
	{windows.ERROR_DISK_QUOTA_EXCEEDED, adviceQuota},
	{windows.ERROR_WRITE_PROTECT, adviceReadOnly},
	{filelock.ErrUnsupported, adviceNoLocks},
	{fs.ErrPermission, adviceDenied},
}
