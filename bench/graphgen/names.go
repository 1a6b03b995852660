package graphgen

import "strconv"

// celebrities name the first users.
func celebrities() []string { return []string{"juno.vega", "the.daily.otter"} }

func firstNames() []string {
	return []string{
		"mia", "emma", "lena", "anna", "lea", "zoe", "nora", "ida", "clara", "ella", "frida", "greta", "hanna", "ines", "julia", "karin",
		"lucia", "maria", "nina", "olga", "paula", "rosa", "sara", "tessa", "uma", "vera", "wanda", "yara", "aisha", "chloe", "diana", "elif",
		"noah", "ben", "leon", "paul", "finn", "emil", "anton", "oskar", "theo", "jonas", "luis", "max", "adam", "bruno", "carlos", "david",
		"erik", "felix", "george", "hugo", "ivan", "jakob", "kenji", "liam", "marco", "nils", "omar", "pedro", "rafael", "samuel", "tariq", "viktor",
	}
}

func lastNames() []string {
	return []string{
		"schmidt", "novak", "garcia", "rossi", "jensen", "kowalski", "tanaka", "okafor", "silva", "martin", "dubois", "peeters", "nagy", "popescu", "ivanova", "yilmaz",
		"haddad", "singh", "patel", "chen", "kim", "nguyen", "santos", "mendes", "larsen", "virtanen", "oconnor", "murphy", "smith", "jones", "taylor", "walker",
		"weber", "fischer", "wagner", "becker", "hoffmann", "koch", "richter", "wolf", "bauer", "lang", "keller", "huber", "moser", "gruber", "berger", "winkler",
		"costa", "moreau", "laurent", "simon", "fontana", "greco", "conti", "ricci", "horvat", "petrov", "sokolov", "kaya", "demir", "cohen", "levi", "adeyemi",
	}
}

// UserID is the name of user i; different users have different names.
func UserID(i int) string { return string(AppendUserID(nil, i)) }

// AppendUserID appends the name of user i to dst.
func AppendUserID(dst []byte, i int) []byte {
	special := celebrities()
	if i < len(special) {
		return append(dst, special[i]...)
	}
	first, last := firstNames(), lastNames()
	pairs := len(first) * len(last)
	// An odd multiplier visits every pair once, in an order that looks like none.
	pair, generation := i*2731%pairs, i/pairs
	dst = append(dst, first[pair%len(first)]...)
	dst = append(dst, '.')
	dst = append(dst, last[pair/len(first)]...)
	switch number := hash(uint64(pair)) % 200; {
	case generation > 0: // three digits and more tell the generations apart
		dst = strconv.AppendInt(dst, int64(99+generation), 10)
	case number >= 10 && number < 100:
		dst = strconv.AppendUint(dst, number, 10)
	}
	return dst
}

// hash mixes x well; it is the finalizer of SplitMix64 (Steele, Lea, Flood, 2014).
func hash(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
