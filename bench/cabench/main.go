// cabench drives one server with one kind of work and prints one JSON line of figures. Standard library only.
//
//	cabench acme -directory URL ...   order, validate over http-01, finalize, download
//	cabench csr  -url URL -token FILE ...   one POST of a CSR, one certificate
//	cabench ocsp -url URL -issuer PEM -list FILE -method GET|POST ...
//
// Every answer is checked as a client would (key and name of the certificate, status and signature of OCSP), so that a
// server cannot win by answering rubbish. It sends to loopback only, and stops by itself.
package main

import (
	"flag"
	"fmt"
	"os"
	"time"
)

type options struct {
	*flag.FlagSet
	peer    string
	note    string
	conc    int
	seconds time.Duration
	warm    int
	pids    string
	rate    float64
}

func flags(kind string) *options {
	o := &options{FlagSet: flag.NewFlagSet(kind, flag.ExitOnError)}
	o.StringVar(&o.peer, "peer", "?", "name of the server in the figures")
	o.StringVar(&o.note, "note", "", "a word beside the name")
	o.IntVar(&o.conc, "c", 1, "workers")
	o.DurationVar(&o.seconds, "d", 8*time.Second, "how long (at most 10m)")
	o.IntVar(&o.warm, "warm", 3, "uncounted units a worker does first")
	o.Float64Var(&o.rate, "rate", 0, "units a second of all workers together; 0: as many as they can")
	o.StringVar(&o.pids, "pids", "", "root pids of the server's process trees, with commas")
	return o
}

func (o *options) parse(args []string) {
	o.Parse(args)
	if o.conc < 1 || o.conc > 256 || o.seconds > 10*time.Minute {
		die(fmt.Errorf("at most 256 workers and 10 minutes"))
	}
}

func die(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cabench:", err)
		os.Exit(1)
	}
}

func main() {
	kinds := map[string]func([]string){"acme": runACME, "csr": runCSR, "ocsp": runOCSP}
	if len(os.Args) < 2 || kinds[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: cabench acme|csr|ocsp [flags]")
		os.Exit(2)
	}
	kinds[os.Args[1]](os.Args[2:])
}
