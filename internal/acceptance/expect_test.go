package acceptance_test

import "time"

// outcome is what a cell comes to.
type outcome string

const (
	// ok: every request of the program was answered, at one token request per
	// renewal.
	ok outcome = "ok"
	// okAfterRetry: the session lives, and it took more than one token request:
	// the client asked again by itself, or the program when it was told to.
	okAfterRetry outcome = "ok after retry"
	// loginRequired: the program was told so by every request from some moment
	// on, by one SessionEnded, and the server was left alone from then on.
	loginRequired outcome = "login-required exactly once"
	// impossible: there is no such cell.
	impossible outcome = "impossible"

	// What no cell may come to.
	lostThoughRecoverable outcome = "lost though recoverable"
	storm                 outcome = "storm"
	stuck                 outcome = "stuck"
)

// span is how many there may be.
type span struct{ least, most int }

func exactly(n int) span            { return span{n, n} }
func (s span) holds(n int) bool     { return s.least <= n && n <= s.most }
func (s span) plus(other span) span { return span{s.least + other.least, s.most + other.most} }

// expectation is what a cell must come to: for the program, and by the server's
// count.
type expectation struct {
	outcome outcome
	why     string
	// lostIn is the wave of requests, counted from 1, in which the login is
	// required; 0: in none.
	lostIn int
	unsure bool    // it says that the refresh token may have been spent without an answer
	told   bool    // some request of the first wave was told to try again
	asked  [2]span // token requests in each of the two waves
	most   span    // of one refresh token: how often it was presented
	live   int     // refresh tokens of the family that the server would still take
	cliffs int     // families that the server ended because of reuse
}

// layout is where the client and the server are.
type layout struct {
	transport string
	processes int
}

const (
	pipe  = "pipe"
	http1 = "HTTP/1.1"
	http2 = "HTTP/2"
)

// expect works out a cell. The rules are about the kind of server and the
// fault; the transport changes nothing but how soon a refused token is tested
// again.
func expect(k kind, f fault, l layout) expectation {
	if why := noSuchCell(f, l); why != "" {
		return expectation{outcome: impossible, why: why}
	}
	var e expectation
	switch f.loses {
	case nothing:
		e = undisturbed(k)
	case request:
		e = repeated(k, f, l)
	case answer:
		e = expectLost(k, f, l)
	case session:
		e = expectEnded()
	case successor:
		e = expectOmitted(k, l)
	}
	if k.mode == held && e.lostIn == 0 {
		// One refresh token for good, presented at every renewal.
		e.most = e.asked[0].plus(e.asked[1])
	}
	return e
}

func noSuchCell(f fault, l layout) string {
	switch {
	case l.transport == pipe && l.processes > 1:
		return "a pipe in memory does not lead to another process"
	case f.kills && l.processes == 1:
		return "the client is in the server's own process, which would be killed as well"
	}
	return ""
}

// undisturbed: one token request per renewal, whoever and how many wait for it.
func undisturbed(kind) expectation {
	return expectation{
		outcome: ok, why: "one renewal for everyone",
		asked: [2]span{exactly(1), exactly(1)}, most: exactly(1), live: 1,
	}
}

// repeated: the request came to nothing at the server, so the refresh token is
// as good as before, whatever the kind of server.
func repeated(k kind, f fault, l layout) expectation {
	e := undisturbed(k)
	e.outcome, e.why = okAfterRetry, "the server has not rotated: the same refresh token is good"
	e.asked[0], e.most = exactly(1+f.times()), exactly(1+f.times())
	e.told = f.refuses || f.hangs && k.rotation.Grace == 0 && !f.short(l)
	return e
}

// expectLost: the server has rotated and the answer is gone. The client holds
// one refresh token, now retired, and presents it once more: at once where the
// connection ended; when a third of the grace is over where nothing comes; when
// its budget of 30 s is over where no grace is known.
func expectLost(k kind, f fault, l layout) expectation {
	e := repeated(k, f, l)
	switch k.mode {
	case held:
		e.why = "there is no rotation: the same refresh token is good"
	case same:
		e.why = "the server tells the same successor again"
	case fork:
		e.why = "the server mints a sibling; the one that was lost lives on unused"
		e.live = 2
	case replace:
		e.why = "the server mints another successor and voids the one that was lost"
	case accessOnly:
		e.why = "the retry brings an access token and no refresh token: the session ends with the access token"
		return e.lostLater(k, l)
	case strict:
		e.why = "the retry is taken for reuse; nobody holds a live refresh token any more"
		e.outcome, e.lostIn, e.live, e.cliffs = loginRequired, 1, 0, 1
	case reject:
		e.why = "the retry is refused; the live refresh token was lost with the answer"
		e.outcome, e.lostIn = loginRequired, 1
	}
	if e.lostIn == 1 {
		e.asked[1], e.unsure = exactly(0), true
	}
	return e
}

// expectEnded: the server has ended the session by itself. Its word is final.
func expectEnded() expectation {
	return expectation{
		outcome: loginRequired, why: "the session is over at the server", lostIn: 1,
		asked: [2]span{exactly(1), exactly(0)}, most: exactly(1),
	}
}

// expectOmitted: the server has rotated and not said to what. The client keeps
// the old refresh token (RFC 6749 6), and presents it at the next renewal, a
// quarter of an hour later.
func expectOmitted(k kind, l layout) expectation {
	e := undisturbed(k)
	switch {
	case k.mode == held:
		e.why = "there is none to leave out"
		return e
	case k.answers == always && !k.seen:
		e.why = "the retired token is answered until its successor is used, which nobody holds"
		e.most = exactly(2)
		if k.mode == fork {
			e.live = 2
		}
		return e
	}
	e.why = "the retired token comes back a quarter of an hour later"
	return e.lostLater(k, l)
}

// lostLater: the program notices nothing until the second renewal, which is
// refused. A refresh token that was just obtained is tested once more after
// 5 s, for servers lag behind their own answers: over sockets, where the second
// wave comes at once by the client's clock, unless the machine was slow.
func (e expectation) lostLater(k kind, l layout) expectation {
	again := exactly(1)
	if l.transport != pipe {
		again = span{1, 2}
	}
	e.most = e.asked[0].plus(again)
	e.outcome, e.lostIn, e.asked[1] = loginRequired, 2, again
	if k.ends {
		e.live, e.cliffs = 0, 1
	}
	return e
}

// quarterHour is longer than an access token lives.
const quarterHour = 16 * time.Minute
