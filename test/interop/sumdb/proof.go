package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const header = "c2sp.org/tlog-proof@v1"

func prove(args []string) error {
	log, err := openLog(args[0], args[1])
	if err != nil {
		return err
	}
	index, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	proof, err := tlog.ProveRecord(log.head.N, index, log.tiles)
	if err != nil {
		return err
	}
	fmt.Printf("%s\nindex %d\n", header, index)
	for _, hash := range proof {
		fmt.Println(hash)
	}
	fmt.Printf("\n%s", log.head.note)
	return nil
}

func check(args []string) error {
	leaf, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	text, err := os.ReadFile(args[2])
	if err != nil {
		return err
	}
	top, bottom, found := strings.Cut(string(text), "\n\n")
	lines := strings.Split(top, "\n")
	if !found || lines[0] != header {
		return fmt.Errorf("%s is no tlog-proof", args[2])
	}
	lines = lines[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return fmt.Errorf("%s has no index", args[2])
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[0], "index "), 10, 64)
	if err != nil {
		return err
	}
	var proof tlog.RecordProof
	for _, line := range lines[1:] {
		bytes, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(bytes) != tlog.HashSize {
			return fmt.Errorf("%q is no hash", line)
		}
		var hash tlog.Hash
		copy(hash[:], bytes)
		proof = append(proof, hash)
	}
	head, _, err := openCheckpoint(args[0], []byte(bottom))
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(proof, head.N, head.Hash, index, tlog.RecordHash(leaf)); err != nil {
		return err
	}
	fmt.Println(head.origin, head.N, index)
	return nil
}
