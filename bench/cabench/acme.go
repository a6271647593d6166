package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

var b64 = base64.RawURLEncoding

const patience = 15 * time.Second

type directory struct{ NewNonce, NewAccount, NewOrder, KeyChange, RenewalInfo string }

// client is one ACME account with the nonces that the server's answers brought.
type client struct {
	http    *http.Client
	dir     *directory
	key     *ecdsa.PrivateKey
	account string
	nonces  []string
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

type order struct {
	Status, Finalize, Certificate string
	Authorizations                []string
}

type authorization struct {
	Status     string
	Challenges []struct{ Type, URL, Token string }
}

func runACME(args []string) {
	o := flags("acme")
	url := o.String("directory", "", "the ACME directory")
	http01 := o.String("http01", "127.0.0.1:5002", "where to answer challenges")
	dns := o.String("dns", "", "where to answer DNS (empty: nowhere)")
	suffix := o.String("suffix", "bench.localhost", "names are unique labels under this")
	count := o.Int("names", 1, "names of a certificate")
	only := o.String("only", "", "one request of this kind is a unit: directory, renewalInfo or keyChange")
	o.parse(args)
	die(serveHTTP01(*http01))
	die(serveDNS(*dns))
	h, dir := newHTTP(o.conc), &directory{}
	reply, err := h.Get(*url)
	die(err)
	die(json.NewDecoder(reply.Body).Decode(dir))
	reply.Body.Close()
	name := names(*suffix)
	workers := make([]unit, o.conc)
	for i := range workers {
		c := &client{http: h, dir: dir, key: newKey()}
		die(c.register())
		workers[i] = func(rec *recorder) (time.Duration, error) {
			_, took, err := c.issue(rec, many(name, *count))
			return took, err
		}
		if *only != "" {
			workers[i] = c.single(*only, *url, name)
		}
	}
	drive(o, "acme", workers)
}

func many(name func() string, count int) []string {
	found := make([]string, count)
	for i := range found {
		found[i] = name()
	}
	return found
}

func names(suffix string) func() string {
	run, n := time.Now().UnixNano()&0xffffffff, int64(0)
	return func() string { return fmt.Sprintf("h%x-%d.%s", run, atomic.AddInt64(&n, 1), suffix) }
}

func newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	die(err)
	return key
}

func newHTTP(conc int) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, // loopback, and the chain is not what we measure
		MaxIdleConnsPerHost: conc * 2, DisableCompression: true,
	}}
}

func makeCSR(names []string, key *ecdsa.PrivateKey) []byte {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key)
	die(err)
	return der
}

// ---- JWS ----------------------------------------------------------------------------------------------------------
func (c *client) jwk() string {
	x, y := make([]byte, 32), make([]byte, 32)
	c.key.X.FillBytes(x)
	c.key.Y.FillBytes(y)
	return fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, b64.EncodeToString(x), b64.EncodeToString(y))
}

func (c *client) keyAuthorization(token string) string {
	thumbprint := sha256.Sum256([]byte(c.jwk()))
	return token + "." + b64.EncodeToString(thumbprint[:])
}

func (c *client) sign(url, nonce, payload string) string {
	who := fmt.Sprintf(`"kid":"%s"`, c.account)
	if c.account == "" {
		who = `"jwk":` + c.jwk()
	}
	return c.sealed(b64.EncodeToString([]byte(fmt.Sprintf(`{"alg":"ES256",%s,"nonce":"%s","url":"%s"}`, who, nonce, url))), payload)
}

func (c *client) sealed(protected, payload string) string {
	body := b64.EncodeToString([]byte(payload))
	digest := sha256.Sum256([]byte(protected + "." + body))
	r, s, err := ecdsa.Sign(rand.Reader, c.key, digest[:])
	die(err)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return fmt.Sprintf(`{"protected":"%s","payload":"%s","signature":"%s"}`, protected, body, b64.EncodeToString(signature))
}

func (c *client) nonce(rec *recorder) (string, error) {
	if n := len(c.nonces); n > 0 {
		nonce := c.nonces[n-1]
		c.nonces = c.nonces[:n-1]
		return nonce, nil
	}
	start := time.Now()
	reply, err := c.http.Head(c.dir.NewNonce)
	if err != nil {
		return "", err
	}
	reply.Body.Close()
	rec.add("newNonce", time.Since(start))
	return reply.Header.Get("Replay-Nonce"), nil
}

// post sends one signed request; a nonce that the server does not like is replaced up to five times.
func (c *client) post(rec *recorder, kind, url, payload string) (*answer, error) {
	for try := 0; ; try++ {
		nonce, err := c.nonce(rec)
		if err != nil {
			return nil, err
		}
		start := time.Now()
		reply, err := c.http.Post(url, "application/jose+json", strings.NewReader(c.sign(url, nonce, payload)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		body, err := io.ReadAll(reply.Body)
		reply.Body.Close()
		if err != nil {
			return nil, err
		}
		rec.add(kind, time.Since(start))
		if fresh := reply.Header.Get("Replay-Nonce"); fresh != "" {
			c.nonces = append(c.nonces, fresh)
		}
		if reply.StatusCode < 400 {
			return &answer{reply.StatusCode, reply.Header, body}, nil
		}
		if !bytes.Contains(body, []byte("badNonce")) || try == 5 {
			return nil, fmt.Errorf("%s: HTTP %d %s", kind, reply.StatusCode, body)
		}
	}
}

func (c *client) register() error {
	got, err := c.post(newRecorder(), "newAccount", c.dir.NewAccount, `{"termsOfServiceAgreed":true}`)
	if err != nil {
		return err
	}
	c.account = got.header.Get("Location")
	return nil
}

// ---- one certificate ----------------------------------------------------------------------------------------------
func (c *client) issue(rec *recorder, names []string) (*x509.Certificate, time.Duration, error) {
	key := newKey()
	csr := makeCSR(names, key)
	start := time.Now()
	place, o, err := c.newOrder(rec, names)
	if err != nil {
		return nil, 0, err
	}
	for _, url := range o.Authorizations {
		if err := c.authorize(rec, url); err != nil {
			return nil, 0, err
		}
	}
	if o, err = c.finalize(rec, o, place, csr); err != nil {
		return nil, 0, err
	}
	got, err := c.post(rec, "certificate", o.Certificate, "")
	if err != nil {
		return nil, 0, err
	}
	took := time.Since(start)
	leaf, err := checkCertificate(got.body, names, key)
	return leaf, took, err
}

func (c *client) newOrder(rec *recorder, names []string) (string, *order, error) {
	type identifier struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	wanted := make([]identifier, len(names))
	for i, name := range names {
		wanted[i] = identifier{"dns", name}
	}
	payload, err := json.Marshal(map[string]any{"identifiers": wanted})
	die(err)
	got, err := c.post(rec, "newOrder", c.dir.NewOrder, string(payload))
	if err != nil {
		return "", nil, err
	}
	o := &order{}
	return got.header.Get("Location"), o, json.Unmarshal(got.body, o)
}

func (c *client) authorize(rec *recorder, url string) error {
	got, err := c.post(rec, "authorization", url, "")
	if err != nil {
		return err
	}
	var a authorization
	if err := json.Unmarshal(got.body, &a); err != nil {
		return err
	}
	for _, challenge := range a.Challenges {
		if challenge.Type != "http-01" {
			continue
		}
		answers.Store(challenge.Token, c.keyAuthorization(challenge.Token))
		defer answers.Delete(challenge.Token)
		start := time.Now()
		if _, err := c.post(rec, "challenge", challenge.URL, "{}"); err != nil {
			return err
		}
		defer func() { rec.add("challenge until valid", time.Since(start)) }()
		return c.poll(rec, "poll authorization", url, func(body []byte) (bool, error) {
			a = authorization{}
			err := json.Unmarshal(body, &a)
			if a.Status != "pending" && a.Status != "processing" && a.Status != "valid" {
				err = fmt.Errorf("authorization is %s: %s", a.Status, body)
			}
			return a.Status == "valid", err
		})
	}
	return errors.New("no http-01 challenge")
}

func (c *client) finalize(rec *recorder, o *order, place string, csr []byte) (*order, error) {
	got, err := c.post(rec, "finalize", o.Finalize, fmt.Sprintf(`{"csr":"%s"}`, b64.EncodeToString(csr)))
	if err != nil {
		return nil, err
	}
	if json.Unmarshal(got.body, o); o.Status == "valid" {
		return o, nil
	}
	return o, c.poll(rec, "poll order", place, func(body []byte) (bool, error) {
		*o = order{}
		err := json.Unmarshal(body, o)
		if o.Status == "invalid" {
			err = fmt.Errorf("order is invalid: %s", body)
		}
		return o.Status == "valid", err
	})
}

// poll asks at once, then after 5 ms growing by half up to 200 ms: we measure the server, not its manners.
func (c *client) poll(rec *recorder, kind, url string, done func([]byte) (bool, error)) error {
	pause := 5 * time.Millisecond
	for start := time.Now(); time.Since(start) < patience; {
		got, err := c.post(rec, kind, url, "")
		if err != nil {
			return err
		}
		if ready, err := done(got.body); ready || err != nil {
			return err
		}
		time.Sleep(pause)
		if pause = pause * 3 / 2; pause > 200*time.Millisecond {
			pause = 200 * time.Millisecond
		}
	}
	return fmt.Errorf("%s: still not done after %s", kind, patience)
}

func checkCertificate(chain []byte, names []string, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	block, _ := pem.Decode(chain)
	if block == nil {
		return nil, fmt.Errorf("no PEM: %.80s", chain)
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	if public, ok := leaf.PublicKey.(*ecdsa.PublicKey); !ok || !public.Equal(&key.PublicKey) {
		return nil, errors.New("the certificate has another key")
	}
	for _, name := range names {
		if err := leaf.VerifyHostname(name); err != nil {
			return nil, err
		}
	}
	return leaf, nil
}

// ---- one request --------------------------------------------------------------------------------------------------
// single is a unit of one request; renewalInfo is asked about a certificate that was issued for it.
func (c *client) single(kind, url string, name func() string) unit {
	switch kind {
	case "directory":
		return func(rec *recorder) (time.Duration, error) { return c.get(rec, kind, url) }
	case "renewalInfo":
		leaf, _, err := c.issue(newRecorder(), many(name, 1))
		die(err)
		serial := leaf.SerialNumber.Bytes()
		if serial[0]&0x80 != 0 {
			serial = append([]byte{0}, serial...)
		}
		place := strings.TrimRight(c.dir.RenewalInfo, "/") + "/" + b64.EncodeToString(leaf.AuthorityKeyId) + "." + b64.EncodeToString(serial)
		return func(rec *recorder) (time.Duration, error) { return c.get(rec, kind, place) }
	case "keyChange":
		return c.changeKey
	}
	die(fmt.Errorf("there is no kind %q", kind))
	return nil
}

func (c *client) get(rec *recorder, kind, url string) (time.Duration, error) {
	start := time.Now()
	reply, err := c.http.Get(url)
	if err != nil {
		return 0, err
	}
	body, err := io.ReadAll(reply.Body)
	reply.Body.Close()
	if err == nil && reply.StatusCode != 200 {
		err = fmt.Errorf("%s: HTTP %d %s", kind, reply.StatusCode, body)
	}
	return time.Since(start), err
}

// changeKey is RFC 8555 section 7.3.5: the inner JWS is by the new key and has no nonce.
func (c *client) changeKey(rec *recorder) (time.Duration, error) {
	next := &client{key: newKey()}
	payload := fmt.Sprintf(`{"account":"%s","oldKey":%s}`, c.account, c.jwk())
	protected := b64.EncodeToString([]byte(fmt.Sprintf(`{"alg":"ES256","jwk":%s,"url":"%s"}`, next.jwk(), c.dir.KeyChange)))
	inner := next.sealed(protected, payload)
	start := time.Now()
	if _, err := c.post(rec, "keyChange", c.dir.KeyChange, inner); err != nil {
		return 0, err
	}
	c.key = next.key
	return time.Since(start), nil
}
