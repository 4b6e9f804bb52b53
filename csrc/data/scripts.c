/* scripts.c -- the scripts of a text's letters (stats.h). */
#include "data/stats.h"

typedef struct { int32_t first, last; uint8_t script; } range;

/* blocks of Unicode, ascending; letters elsewhere are of another script */
static const range ranges[] = {
    {'A', 'Z', ML_LATIN}, {'a', 'z', ML_LATIN}, {0xAA, 0x24F, ML_LATIN},
    {0x370, 0x3FF, ML_GREEK}, {0x400, 0x52F, ML_CYRILLIC}, {0x530, 0x58F, ML_ARMENIAN},
    {0x590, 0x5FF, ML_HEBREW}, {0x600, 0x6FF, ML_ARABIC}, {0x750, 0x77F, ML_ARABIC},
    {0x8A0, 0x8FF, ML_ARABIC}, {0x900, 0x97F, ML_DEVANAGARI}, {0x980, 0x9FF, ML_BENGALI},
    {0xB80, 0xBFF, ML_TAMIL}, {0xE00, 0xE7F, ML_THAI}, {0x10A0, 0x10FF, ML_GEORGIAN},
    {0x1100, 0x11FF, ML_HANGUL}, {0x1E00, 0x1EFF, ML_LATIN}, {0x1F00, 0x1FFF, ML_GREEK},
    {0x3040, 0x30FF, ML_KANA}, {0x3130, 0x318F, ML_HANGUL}, {0x3400, 0x4DBF, ML_HAN},
    {0x4E00, 0x9FFF, ML_HAN}, {0xAC00, 0xD7AF, ML_HANGUL}, {0xF900, 0xFAFF, ML_HAN},
    {0xFB1D, 0xFB4F, ML_HEBREW}, {0xFB50, 0xFDFF, ML_ARABIC}, {0xFE70, 0xFEFE, ML_ARABIC},
    {0xFF66, 0xFF9F, ML_KANA}, {0x20000, 0x3134F, ML_HAN}};

static int script_of(int32_t c) {
  int low = 0, high = (int)(sizeof ranges / sizeof *ranges) - 1;
  while (low <= high) {
    int middle = (low + high) / 2;
    if (c < ranges[middle].first) high = middle - 1;
    else if (c > ranges[middle].last) low = middle + 1;
    else return ranges[middle].script;
  }
  return ML_OTHER_SCRIPT;
}

void ml_scripts_of(int64_t counts[ML_SCRIPTS], const uint8_t *p, size_t n) {
  for (int i = 0; i < ML_SCRIPTS; i++) counts[i] = 0;
  for (size_t i = 0; i < n;) {
    int32_t c;
    i += ml_char(p + i, n - i, &c);
    if (ml_char_kind(c) & ML_CHAR_ALPHA) counts[script_of(c)]++;
  }
}
