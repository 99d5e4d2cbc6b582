package filelock

// Paths tells how many paths s remembers.
func Paths(s *Locks) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.turns)
}
