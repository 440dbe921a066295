package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// write makes the log of so many entries: its tiles, its bundles, last its checkpoint.
func write(args []string) error {
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	signer, err := note.NewSigner(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	size, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	written := &log{place: args[1]}
	for index := int64(0); index < size; index++ {
		if err := written.add(index, entry(index)); err != nil {
			return err
		}
	}
	for _, tile := range tlog.NewTiles(height, 0, size) {
		hashes, err := tlog.ReadTileData(tile, written)
		if err != nil {
			return err
		}
		if err := written.put(path(tile), hashes); err != nil {
			return err
		}
		if tile.L > 0 {
			continue
		}
		tile.L = -1
		if err := written.put(path(tile), bundle(tile)); err != nil {
			return err
		}
	}
	root, err := tlog.TreeHash(size, written)
	if err != nil {
		return err
	}
	signed, err := note.Sign(&note.Note{Text: fmt.Sprintf("%s\n%d\n%v\n", signer.Name(), size, root)}, signer)
	if err != nil {
		return err
	}
	return written.put("checkpoint", signed)
}

func entry(index int64) []byte { return []byte(fmt.Sprintf("entry %d\n", index)) }

func bundle(tile tlog.Tile) []byte {
	var found bytes.Buffer
	for i := int64(0); i < int64(tile.W); i++ {
		entry := entry(tile.N<<height + i)
		binary.Write(&found, binary.BigEndian, uint16(len(entry)))
		found.Write(entry)
	}
	return found.Bytes()
}

func (l *log) put(path string, data []byte) error {
	file := filepath.Join(l.place, path)
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o666)
}
