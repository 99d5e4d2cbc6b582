// Package storetest tests a [tokensource.Store]. A session survives rotation
// only if its store keeps a contract, and most of that contract shows when two
// processes meet or one is killed, which is hard to test for each store anew.
// A store that passes keeps it, as far as a test can tell:
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(dir string) (tokensource.Store, error) {
//			return mystore.Open(dir)
//		})
//	}
//
// [RunConfig] tests stores that one process has for itself, whose leases
// expire, or that take records up to some size only.
//
// # The contract
//
// Every clause is a subtest with a stable name, and a failure quotes the clause
// that was broken. They come in groups:
//
//   - Load: [tokensource.ErrNotFound] where there is nothing, and for nothing
//     else; the last record whole, without a lease, and never an older one.
//   - Swap: atomic, with or without a lease; [tokensource.ErrConflict] where the
//     version is another one, and then nothing was written; records of any bytes
//     up to 64 KiB, each under its own key.
//   - Lock: one holder, waiting that ends with its context, a lease that outlives
//     it; an Extend that never confirms a lease which is gone.
//   - Session: what a real [tokensource.Session] makes of the store. A logout
//     wins over a refresh under way; the tokens of a session that was replaced
//     meanwhile are dropped; a store that cannot be written costs no refresh
//     token.
//   - Process: the same among processes. No update is lost, the lease ends with
//     its holder, nobody starves, and kill -9 at any moment tears nothing, loses
//     nothing that was acknowledged, and takes no reader back.
//   - Hygiene: no error and no value shows the record, no goroutine is left.
//
// What a test process cannot show stays with the author: that a record survives
// a crash of the machine.
//
// # Processes
//
// For the Process group Run executes the test binary again, with -test.run set
// to the very test that called it. What that test does before Run therefore
// happens in every process, and no TestMain is needed; call Run once per test or
// subtest. In such a process Run does its deed and ends the test.
//
// The directory is a fresh one for each clause, the same in all processes. A
// store that keeps nothing in files may ignore it: the keys are drawn at random
// each time, and what the clauses leave behind is theirs alone.
//
// PAWL_STORETEST_KILLS sets how many processes are killed, 30 unless set and
// fewer with -short.
package storetest
