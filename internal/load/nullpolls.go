package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// pollsMain is the subcommand nullpolls: it has a poll wait at a homeserver for each token of a file, once that is there, over
// connections like the gateway's, and keeps nothing but the place to go on from.
func pollsMain(args []string) error {
	fs := flag.NewFlagSet("nullpolls", flag.ContinueOnError)
	at := fs.String("at", "", "address of the homeserver")
	file := fs.String("tokens", "", "file with the tokens, once they are known")
	stats := fs.String("stats", "", "file for the number of goroutines")
	if err := fs.Parse(args); err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 16}}
	var started bool
	for {
		if err := writeWhole(*stats, strconv.Itoa(runtime.NumGoroutine())); err != nil {
			return err
		}
		if tokens, err := os.ReadFile(*file); err == nil && !started {
			started = true
			for token := range strings.FieldsSeq(string(tokens)) {
				go poll(client, *at, token)
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// writeWhole writes a file that is there whole or not at all.
func writeWhole(file, text string) error {
	part := file + ".part"
	if err := os.WriteFile(part, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(part, file)
}

// poll asks for news again and again. It ends with the process.
func poll(client *http.Client, at, token string) {
	since := ""
	for {
		next, err := pollOnce(client, at, token, since)
		if err != nil {
			fmt.Fprintln(os.Stderr, "poll:", err)
			time.Sleep(time.Second)
			continue
		}
		since = next
	}
}

func pollOnce(client *http.Client, at, token, since string) (next string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/_matrix/client/v3/sync?set_presence=offline&timeout=30000&since="+url.QueryEscape(since), nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	var answer struct {
		Next string `json:"next_batch"`
	}
	if err := json.NewDecoder(bytes.NewReader(body)).Decode(&answer); err != nil || answer.Next == "" {
		return "", errors.New("an answer that is none: " + resp.Status)
	}
	return answer.Next, nil
}

// freePort is an address nobody listens at.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
