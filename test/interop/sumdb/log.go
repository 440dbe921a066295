package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const height = 8

// A checkpoint is what the log's key signed, and the note itself.
type checkpoint struct {
	tlog.Tree
	origin string
	note   []byte
}

func openCheckpoint(vkey string, bytes []byte, witnesses ...note.Verifier) (checkpoint, *note.Note, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return checkpoint{}, nil, err
	}
	opened, err := note.Open(bytes, note.VerifierList(append(witnesses, verifier)...))
	if err != nil {
		return checkpoint{}, nil, err
	}
	// Its own logs all have this origin.
	origin, rest, _ := strings.Cut(opened.Text, "\n")
	tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + rest))
	if err != nil {
		return checkpoint{}, nil, err
	}
	for _, signature := range opened.Sigs {
		if signature.Hash == verifier.KeyHash() && signature.Name == verifier.Name() {
			return checkpoint{tree, origin, bytes}, opened, nil
		}
	}
	return checkpoint{}, nil, fmt.Errorf("not signed by %s", verifier.Name())
}

func openFile(vkey, file string) (checkpoint, error) {
	bytes, err := os.ReadFile(file)
	if err != nil {
		return checkpoint{}, err
	}
	head, _, err := openCheckpoint(vkey, bytes)
	return head, err
}

// A log is read from a directory or a URL, under its newest checkpoint.
type log struct {
	place string
	head  checkpoint
	// what it gives out is under the head's root
	tiles tlog.HashReader
	// of the entries, and of the complete trees over them
	hashes []tlog.Hash
}

func openLog(vkey, place string) (*log, error) {
	opened := &log{place: place}
	bytes, err := opened.file("checkpoint")
	if err != nil {
		return nil, err
	}
	if opened.head, _, err = openCheckpoint(vkey, bytes); err != nil {
		return nil, err
	}
	opened.tiles = tlog.TileHashReader(opened.head.Tree, opened)
	return opened, nil
}

func (l *log) file(path string) ([]byte, error) {
	if !strings.Contains(l.place, "://") {
		return os.ReadFile(filepath.Join(l.place, path))
	}
	answer, err := http.Get(l.place + "/" + path)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	return io.ReadAll(answer.Body)
}

// path is where C2SP tlog-tiles puts the tile: the height is not in it, data are called entries.
func path(tile tlog.Tile) string {
	path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", height))
	return "tile/" + strings.Replace(path, "data/", "entries/", 1)
}

func (l *log) Height() int { return height }

func (l *log) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		var err error
		if data[i], err = l.file(path(tile)); err != nil {
			return nil, err
		}
	}
	return data, nil
}

func (l *log) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadHashes makes a log, once its entries are checked, a source of the hashes over them.
func (l *log) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(l.hashes)) {
			return nil, fmt.Errorf("no hash %d", index)
		}
		found[i] = l.hashes[index]
	}
	return found, nil
}

// checkEntries holds each entry against its hash in the tiles, and keeps the hashes.
func (l *log) checkEntries() error {
	for number := int64(0); number<<height < l.head.N; number++ {
		width := l.head.N - number<<height
		if width > 1<<height {
			width = 1 << height
		}
		entries, err := l.bundle(tlog.Tile{H: height, L: -1, N: number, W: int(width)})
		if err != nil {
			return err
		}
		first := number << height
		indexes := make([]int64, len(entries))
		for i := range entries {
			indexes[i] = tlog.StoredHashIndex(0, first+int64(i))
		}
		signed, err := l.tiles.ReadHashes(indexes)
		if err != nil {
			return err
		}
		for i, entry := range entries {
			if tlog.RecordHash(entry) != signed[i] {
				return fmt.Errorf("entry %d is not what was signed", first+int64(i))
			}
			if err := l.add(first+int64(i), entry); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *log) add(index int64, entry []byte) error {
	more, err := tlog.StoredHashes(index, entry, l)
	l.hashes = append(l.hashes, more...)
	return err
}

// bundle reads entries, each behind its length in two bytes.
func (l *log) bundle(tile tlog.Tile) ([][]byte, error) {
	bytes, err := l.file(path(tile))
	if err != nil {
		return nil, err
	}
	entries := make([][]byte, tile.W)
	for i := range entries {
		if len(bytes) < 2 || len(bytes) < 2+int(binary.BigEndian.Uint16(bytes)) {
			return nil, fmt.Errorf("%s is cut off", path(tile))
		}
		end := 2 + int(binary.BigEndian.Uint16(bytes))
		entries[i], bytes = bytes[2:end], bytes[end:]
	}
	if len(bytes) > 0 {
		return nil, fmt.Errorf("%s has more than %d entries", path(tile), tile.W)
	}
	return entries, nil
}
