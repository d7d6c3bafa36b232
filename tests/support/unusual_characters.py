"""Characters that have broken software before, for texts drawn by Hypothesis."""

CHARACTERS = (
    "ab09 .:,;-+_*/\\\"'`{}[]()<>$%&\n\r\t\0\x7f\x85\xa0é\xb2ß"
    "\N{ARABIC-INDIC DIGIT THREE}\N{FULLWIDTH DIGIT FOUR}\N{COMBINING ACUTE ACCENT}\N{ZERO WIDTH JOINER}"
    "\N{LINE SEPARATOR}\N{BOM}\N{RIGHT-TO-LEFT OVERRIDE}\N{HANGUL SYLLABLE GAG}\U0001f600\U0010ffff"
)
