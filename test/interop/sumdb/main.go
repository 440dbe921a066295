// Command sumdb reads, checks and writes logs with golang.org/x/mod/sumdb, the code of Go's checksum database:
// another implementation of signed notes, RFC 6962 trees and tiles than ours. Only what that has no code for is written
// out here: where C2SP tlog-tiles puts files, and the lines of C2SP tlog-proof and tlog-cosignature.
//
// It prints what it found, or says on standard error why not and ends with status 1.
package main

import (
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const usage = `usage:
  sumdb read VKEY LOG                   the whole log, in a directory or behind a URL: its origin, size and root
  sumdb grown VKEY LOG OLD              whether it continues the checkpoint in the file OLD: the body of add-checkpoint
  sumdb prove VKEY LOG INDEX            the entry's tlog-proof
  sumdb check VKEY LEAF PROOF           whether the entry in the file LEAF is in the log, by the file PROOF
  sumdb cosigned VKEY NOTE WITNESS...   who of the witnesses cosigned the checkpoint in the file NOTE, and when
  sumdb key NAME                        a new key: its private text, its public text
  sumdb write KEY DIRECTORY SIZE        a log of so many entries there, signed with the private key in the file KEY`

func main() {
	commands := map[string]func(args []string) error{
		"read": read, "grown": grown, "prove": prove, "check": check, "cosigned": cosigned, "key": key, "write": write,
	}
	least := map[string]int{"read": 2, "grown": 3, "prove": 3, "check": 3, "cosigned": 3, "key": 1, "write": 3}
	if len(os.Args) < 2 || commands[os.Args[1]] == nil || len(os.Args)-2 < least[os.Args[1]] {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(args []string) error {
	log, err := openLog(args[0], args[1])
	if err != nil {
		return err
	}
	if err := log.checkEntries(); err != nil {
		return err
	}
	// The tree over the entries alone, computed anew: some versions of TileHashReader leave complete tiles unchecked.
	root, err := tlog.TreeHash(log.head.N, log)
	if err != nil || root != log.head.Hash {
		return fmt.Errorf("the root is %v, not %v: %v", root, log.head.Hash, err)
	}
	fmt.Println(log.head.origin, log.head.N, root)
	return nil
}

func grown(args []string) error {
	log, err := openLog(args[0], args[1])
	if err != nil {
		return err
	}
	old, err := openFile(args[0], args[2])
	if err != nil {
		return err
	}
	proof, err := tlog.ProveTree(log.head.N, old.N, log.tiles)
	if err != nil {
		return err
	}
	if err := tlog.CheckTree(proof, log.head.N, log.head.Hash, old.N, old.Hash); err != nil {
		return err
	}
	fmt.Printf("old %d\n", old.N)
	for _, hash := range proof {
		fmt.Println(hash)
	}
	fmt.Printf("\n%s", log.head.note)
	return nil
}

func key(args []string) error {
	private, public, err := note.GenerateKey(nil, args[0])
	if err == nil {
		fmt.Printf("%s\n%s\n", private, public)
	}
	return err
}
