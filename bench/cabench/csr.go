package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

func runCSR(args []string) {
	o := flags("csr")
	url := o.String("url", "", "where to POST")
	tokenFile := o.String("token", "", "file with the bearer token")
	profile := o.String("profile", "server", "profile to ask for")
	suffix := o.String("suffix", "bench.localhost", "names are unique labels under this")
	o.parse(args)
	token, err := os.ReadFile(*tokenFile)
	die(err)
	api := &api{newHTTP(o.conc), *url, "Bearer " + strings.TrimSpace(string(token)), *profile}
	name := names(*suffix)
	workers := make([]unit, o.conc)
	for i := range workers {
		workers[i] = func(*recorder) (time.Duration, error) { return api.issue(name()) }
	}
	drive(o, "csr", workers)
}

type api struct {
	http                 *http.Client
	url, bearer, profile string
}

func (a *api) issue(name string) (time.Duration, error) {
	key := newKey()
	csr := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: makeCSR([]string{name}, key)})
	body, err := json.Marshal(map[string]string{"csr": string(csr), "profile": a.profile})
	die(err)
	request, err := http.NewRequest("POST", a.url, bytes.NewReader(body))
	die(err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", a.bearer)
	request.Header.Set("Idempotency-Key", name)
	start := time.Now()
	reply, err := a.http.Do(request)
	if err != nil {
		return 0, err
	}
	answer, err := io.ReadAll(reply.Body)
	reply.Body.Close()
	took := time.Since(start)
	if err != nil || reply.StatusCode != http.StatusCreated {
		return 0, fmt.Errorf("HTTP %d %.200s", reply.StatusCode, answer)
	}
	var got struct{ Certificate string }
	if err := json.Unmarshal(answer, &got); err != nil {
		return 0, err
	}
	_, err = checkCertificate([]byte(got.Certificate), []string{name}, key)
	return took, err
}
