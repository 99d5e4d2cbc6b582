package main_test

import (
	"bytes"
	"cmp"
	"context"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	pageWidth  = 960
	phoneWidth = 390
	// maxShot keeps the repository small.
	maxShot = 120 << 10
)

// The pictures in the documentation are these, written with -update.
func TestThePagesAreTheRightOnesInLightAndDark(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	for _, dark := range []bool{false, true} {
		open(t, run(t, "-profile", "grace"), dark).shoot(t)
	}
}

// A phone is 360 wide. Tables scroll by themselves; the page does not.
func TestNoPageIsWiderThanAPhone(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	b := open(t, run(t), false)
	b.fill(t)
	b.do(t, chromedp.EmulateViewport(360, 640, chromedp.EmulateMobile))
	b.visit(t, "/ui/login")
	b.fits(t)
	b.press(t, `button[value=alice]`)
	for _, path := range []string{"/sessions", "/device", "/_test/", "/_test/ui/request/2", "/_test/ui/decoder", "/oauth/authorize"} {
		b.visit(t, path)
		b.fits(t)
	}
	b.visit(t, "/_test/")
	b.press(t, `#sessions ~ div tr:nth-child(2) a`)
	b.fits(t)
}

func (b *tab) fits(t *testing.T) {
	t.Helper()
	size, err := chromedp.Call(b, page.GetLayoutMetrics, cdp.Empty{})
	require.NoError(t, err)
	assert.LessOrEqual(t, int(size.CSSContentSize.Width), 360, b.location(t))
}

func (b *tab) shoot(t *testing.T) {
	t.Helper()
	b.fill(t)
	b.visit(t, "/oauth/authorize?response_type=code&client_id=cli&scope=openid+offline_access+notes&code_challenge_method=S256"+
		"&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&redirect_uri=http://127.0.0.1:8000/callback")
	b.picture(t, "login")
	b.press(t, `button[value=alice]`)
	b.picture(t, "consent")
	b.visit(t, "/device")
	b.picture(t, "device")
	b.visit(t, "/sessions")
	b.picture(t, "devices")
	b.visit(t, "/oauth/authorize?client_id=nonesuch")
	b.picture(t, "error")
	b.visit(t, "/_test/")
	b.picture(t, "dashboard")
	b.press(t, `#sessions ~ div tr:nth-child(2) a`)
	b.picture(t, "family")
	b.width = phoneWidth
	b.picture(t, "family-phone")
	b.visit(t, "/sessions")
	b.picture(t, "devices-phone")
	b.visit(t, "/_test/")
	b.picture(t, "dashboard-phone")
}

// fill makes a history worth showing: rotations, an answer that was lost and
// told again, and a token that somebody stole.
func (b *tab) fill(t *testing.T) {
	t.Helper()
	device := func(name string) tokens {
		_, body := curl(t, b.url()+"/login", "--json", `{"username":"alice","password":"secret","device":"`+name+`"}`)
		var tk tokens
		unmarshal(t, body, &tk)
		return tk
	}
	device("Work laptop")
	phone := device("Phone")
	_, next := b.refresh(t, phone.RefreshToken)
	b.visit(t, "/_test/")
	b.press(t, `button[value=lose]`)
	b.lose(t, next.RefreshToken)
	for range 2 {
		_, next = b.refresh(t, next.RefreshToken)
	}
	b.me(t, next)
	stolen := device("Old tablet")
	_, next = b.refresh(t, stolen.RefreshToken)
	b.refresh(t, next.RefreshToken)
	b.refresh(t, stolen.RefreshToken)
}

// lose is a refresh whose answer does not arrive.
func (b *tab) lose(t *testing.T, token string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	err := exec.CommandContext(ctx, "curl", "-sS", b.url()+"/refresh", "--json", `{"refreshToken":"`+token+`"}`).Run()
	require.Error(t, err, "the answer was to be lost")
}

func (b *tab) picture(t *testing.T, name string) {
	t.Helper()
	b.do(t, chromedp.EmulateViewport(cmp.Or(b.width, pageWidth), 640))
	shot, err := chromedp.Run(b, chromedp.FullScreenshot(100))
	require.NoError(t, err, name)
	img, err := png.Decode(bytes.NewReader(shot))
	require.NoError(t, err, name)
	scheme := "light"
	if b.dark {
		scheme = "dark"
	}
	assert.Equal(t, b.dark, brightness(img) < 128, "%s in %s", name, scheme)
	if !*update {
		return
	}
	small := encode(t, img)
	assert.Less(t, len(small), maxShot, name)
	require.NoError(t, os.MkdirAll("docs", 0o755))
	require.NoError(t, os.WriteFile(filepath.Join("docs", name+"-"+scheme+".png"), small, 0o644))
}

// brightness is the mean over the picture, 0 to 255.
func brightness(img image.Image) int {
	sum, n := 0, 0
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y += 7 {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x += 7 {
			sum += int(color.GrayModel.Convert(img.At(x, y)).(color.Gray).Y)
			n++
		}
	}
	return sum / n
}

// encode keeps the 256 most frequent colours: text on flat paper has few that
// matter.
func encode(t *testing.T, img image.Image) []byte {
	t.Helper()
	count := map[color.Color]int{}
	for y := img.Bounds().Min.Y; y < img.Bounds().Max.Y; y++ {
		for x := img.Bounds().Min.X; x < img.Bounds().Max.X; x++ {
			count[color.RGBAModel.Convert(img.At(x, y))]++
		}
	}
	var palette color.Palette
	for c := range count {
		palette = append(palette, c)
	}
	slices.SortFunc(palette, func(a, b color.Color) int { return count[b] - count[a] })
	small := image.NewPaletted(img.Bounds(), palette[:min(len(palette), 256)])
	draw.Draw(small, small.Bounds(), img, img.Bounds().Min, draw.Src)
	var out bytes.Buffer
	require.NoError(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small))
	return out.Bytes()
}
