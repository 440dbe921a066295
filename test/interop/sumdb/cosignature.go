package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// A witness verifies its cosignatures (C2SP tlog-cosignature, cosignature/v1), as the note package lets others do.
type witness struct {
	name string
	key  ed25519.PublicKey
}

func newWitness(vkey string) (*witness, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) < 3 {
		return nil, fmt.Errorf("%s is no key", vkey)
	}
	typed, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(typed) != 33 || typed[0] != 4 {
		return nil, fmt.Errorf("%s is no witness's key", vkey)
	}
	found := &witness{parts[0], typed[1:]}
	if fmt.Sprintf("%08x", found.KeyHash()) != parts[1] {
		return nil, fmt.Errorf("%s has another id", vkey)
	}
	return found, nil
}

func (w *witness) Name() string { return w.name }

func (w *witness) KeyHash() uint32 {
	hash := sha256.Sum256(append([]byte(w.name+"\n\x04"), w.key...))
	return binary.BigEndian.Uint32(hash[:])
}

func (w *witness) Verify(text, signature []byte) bool {
	if len(signature) != 8+ed25519.SignatureSize {
		return false
	}
	message := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(signature), text)
	return ed25519.Verify(w.key, []byte(message), signature[8:])
}

func cosigned(args []string) error {
	var witnesses []note.Verifier
	for _, vkey := range args[2:] {
		witness, err := newWitness(vkey)
		if err != nil {
			return err
		}
		witnesses = append(witnesses, witness)
	}
	bytes, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	_, opened, err := openCheckpoint(args[0], bytes, witnesses...)
	if err != nil {
		return err
	}
	for _, signature := range opened.Sigs {
		bytes, err := base64.StdEncoding.DecodeString(signature.Base64)
		if err != nil {
			return err
		}
		if len(bytes) == 4+8+ed25519.SignatureSize {
			fmt.Println(signature.Name, binary.BigEndian.Uint64(bytes[4:]))
		}
	}
	return nil
}
