// What in-toto's own types (SLSA's provenance v1) make of the predicate of a statement on standard input.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	slsa "github.com/in-toto/in-toto-golang/in_toto/slsa_provenance/v1"
)

func main() {
	var statement struct {
		PredicateType string                   `json:"predicateType"`
		Predicate     slsa.ProvenancePredicate `json:"predicate"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&statement); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if statement.PredicateType != slsa.PredicateSLSAProvenance {
		fmt.Fprintln(os.Stderr, "another predicate")
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(statement.Predicate)
}
