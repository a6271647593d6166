package main

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

type question struct {
	serial *big.Int
	want   string
	wire   []byte // the whole HTTP request
}

// asker holds one connection and speaks just enough HTTP/1.1, so that the client is not what limits a fast server.
type asker struct {
	address   string
	close     bool
	conn      net.Conn
	reader    *bufio.Reader
	questions []question
	issuer    *x509.Certificate
	random    *rand.Rand
	asked     int
	every     int
}

func runOCSP(args []string) {
	o := flags("ocsp")
	target := o.String("url", "", "the responder")
	issuerFile := o.String("issuer", "", "certificate of the issuer (PEM)")
	list := o.String("list", "", "file of lines: serial in hex, good or revoked")
	method := o.String("method", "POST", "POST or GET")
	once := o.Bool("close", false, "a new connection for each request")
	every := o.Int("verify", 50, "status and signature of each k-th answer are verified")
	o.parse(args)
	issuer := readCertificate(*issuerFile)
	u, err := url.Parse(*target)
	die(err)
	questions := readQuestions(*list, func(der []byte) []byte { return wire(*method, u, der, *once) }, issuer)
	workers := make([]unit, o.conc)
	for i := range workers {
		a := &asker{address: u.Host, close: *once, questions: questions, issuer: issuer, random: rand.New(rand.NewSource(int64(i))), every: *every}
		workers[i] = func(*recorder) (time.Duration, error) { return a.ask() }
	}
	drive(o, "ocsp", workers)
}

func wire(method string, u *url.URL, der []byte, once bool) []byte {
	connection := ""
	if once {
		connection = "Connection: close\r\n"
	}
	if method == "GET" {
		path := strings.TrimRight(u.Path, "/") + "/" + url.QueryEscape(base64.StdEncoding.EncodeToString(der))
		return []byte(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, u.Host, connection))
	}
	path := u.Path
	if path == "" {
		path = "/"
	}
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/ocsp-request\r\nContent-Length: %d\r\n\r\n", path, u.Host, connection, len(der))
	return append([]byte(head), der...)
}

func (a *asker) ask() (time.Duration, error) {
	q := a.questions[a.random.Intn(len(a.questions))]
	start := time.Now()
	body, err := a.exchange(q.wire)
	if err != nil {
		a.drop()
		return 0, err
	}
	took := time.Since(start)
	if a.asked++; a.asked%a.every == 1 {
		err = check(body, a.issuer, q)
	}
	return took, err
}

func (a *asker) exchange(request []byte) ([]byte, error) {
	if a.conn == nil {
		conn, err := net.DialTimeout("tcp", a.address, 10*time.Second)
		if err != nil {
			return nil, err
		}
		a.conn, a.reader = conn, bufio.NewReaderSize(conn, 16<<10)
	}
	a.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := a.conn.Write(request); err != nil {
		return nil, err
	}
	body, keep, err := readAnswer(a.reader)
	if a.close || !keep {
		a.drop()
	}
	return body, err
}

func (a *asker) drop() {
	if a.conn != nil {
		a.conn.Close()
		a.conn = nil
	}
}

// readAnswer reads one HTTP answer; without a Content-Length it ends with the connection.
func readAnswer(r *bufio.Reader) (body []byte, keep bool, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return nil, false, err
	}
	if len(line) < 12 || string(line[9:12]) != "200" {
		return nil, false, fmt.Errorf("answer %q", line)
	}
	keep = bytes.HasPrefix(line, []byte("HTTP/1.1"))
	length := -1
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		if len(line) > 15 && bytes.EqualFold(line[:15], []byte("content-length:")) {
			if length, err = strconv.Atoi(string(bytes.TrimSpace(line[15:]))); err != nil {
				return nil, false, err
			}
		}
	}
	if length < 0 {
		body, err = io.ReadAll(r)
		return body, false, err
	}
	body = make([]byte, length)
	_, err = io.ReadFull(r, body)
	return body, keep, err
}

// ---- questions ----------------------------------------------------------------------------------------------------
type certID struct {
	Algorithm pkix.AlgorithmIdentifier
	Name, Key []byte
	Serial    *big.Int
}

type ocspRequest struct {
	TBS struct {
		Requests []struct{ ID certID }
	}
}

func readCertificate(file string) *x509.Certificate {
	text, err := os.ReadFile(file)
	die(err)
	block, _ := pem.Decode(text)
	if block == nil {
		die(fmt.Errorf("%s holds no PEM", file))
	}
	found, err := x509.ParseCertificate(block.Bytes)
	die(err)
	return found
}

func readQuestions(file string, wire func([]byte) []byte, issuer *x509.Certificate) (found []question) {
	text, err := os.ReadFile(file)
	die(err)
	var spki struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	_, err = asn1.Unmarshal(issuer.RawSubjectPublicKeyInfo, &spki)
	die(err)
	name, key := sha1.Sum(issuer.RawSubject), sha1.Sum(spki.Key.RightAlign())
	algorithm := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, Parameters: asn1.NullRawValue}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		words := strings.Fields(line)
		serial, ok := new(big.Int).SetString(words[0], 16)
		if !ok || len(words) != 2 {
			die(fmt.Errorf("%s: %q is no serial with a status", file, line))
		}
		var request ocspRequest
		request.TBS.Requests = append(request.TBS.Requests, struct{ ID certID }{certID{algorithm, name[:], key[:], serial}})
		der, err := asn1.Marshal(request)
		die(err)
		found = append(found, question{serial, words[1], wire(der)})
	}
	return found
}

// ---- answers ------------------------------------------------------------------------------------------------------
type ocspAnswer struct {
	Status asn1.Enumerated
	Bytes  struct {
		Type  asn1.ObjectIdentifier
		Basic []byte
	} `asn1:"explicit,tag:0,optional"`
}

type basicAnswer struct {
	Data struct {
		Raw       asn1.RawContent
		Version   int `asn1:"optional,default:0,explicit,tag:0"`
		Responder asn1.RawValue
		Produced  time.Time `asn1:"generalized"`
		Singles   []single
		Extra     []pkix.Extension `asn1:"explicit,tag:1,optional"`
	}
	Algorithm    pkix.AlgorithmIdentifier
	Signature    asn1.BitString
	Certificates []asn1.RawValue `asn1:"explicit,tag:0,optional"`
}

type single struct {
	ID      certID
	Good    asn1.Flag `asn1:"tag:0,optional"`
	Revoked struct {
		Time   time.Time       `asn1:"generalized"`
		Reason asn1.Enumerated `asn1:"explicit,tag:0,optional"`
	} `asn1:"tag:1,optional"`
	Unknown asn1.Flag        `asn1:"tag:2,optional"`
	This    time.Time        `asn1:"generalized"`
	Next    time.Time        `asn1:"generalized,explicit,tag:0,optional"`
	Extra   []pkix.Extension `asn1:"explicit,tag:1,optional"`
}

func check(der []byte, issuer *x509.Certificate, q question) error {
	var outer ocspAnswer
	if _, err := asn1.Unmarshal(der, &outer); err != nil || outer.Status != 0 {
		return fmt.Errorf("no answer: status %d, %v", outer.Status, err)
	}
	var basic basicAnswer
	if _, err := asn1.Unmarshal(outer.Bytes.Basic, &basic); err != nil {
		return err
	}
	if len(basic.Data.Singles) != 1 || basic.Data.Singles[0].ID.Serial.Cmp(q.serial) != 0 {
		return errors.New("an answer about another serial")
	}
	if status := basic.Data.Singles[0].status(); status != q.want {
		return fmt.Errorf("status %s, wanted %s", status, q.want)
	}
	return basic.signedFor(issuer)
}

func (s single) status() string {
	switch {
	case bool(s.Good):
		return "good"
	case bool(s.Unknown):
		return "unknown"
	}
	return "revoked"
}

func (b basicAnswer) signedFor(issuer *x509.Certificate) error {
	signer := issuer
	if len(b.Certificates) > 0 {
		delegate, err := x509.ParseCertificate(b.Certificates[0].FullBytes)
		if err != nil {
			return err
		}
		if err := delegate.CheckSignatureFrom(issuer); err != nil {
			return err
		}
		signer = delegate
	}
	if !b.Algorithm.Algorithm.Equal(asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}) {
		return fmt.Errorf("signature algorithm %s", b.Algorithm.Algorithm)
	}
	return signer.CheckSignature(x509.ECDSAWithSHA256, b.Data.Raw, b.Signature.RightAlign())
}
