/* reader.c -- bounds-checked little-endian reads. The first read past the end sets `bad` for
** good, so a parser checks once after a group of reads. */
#include "base/base.h"

ml_reader ml_reader_of(const void *p, size_t size) {
  return (ml_reader){p ? p : "", size, 0, false}; /* an empty file maps to NULL */
}

size_t ml_reader_left(const ml_reader *r) { return r->bad ? 0 : r->size - r->pos; }

const uint8_t *ml_read_bytes(ml_reader *r, size_t n) {
  if (n > ml_reader_left(r)) {
    r->bad = true;
    return NULL;
  }
  const uint8_t *p = r->p + r->pos;
  r->pos += n;
  return p;
}

static uint64_t little(ml_reader *r, size_t n) {
  const uint8_t *p = ml_read_bytes(r, n);
  uint64_t v = 0;
  for (size_t i = 0; p && i < n; i++) v |= (uint64_t)p[i] << (8 * i);
  return v;
}

uint8_t ml_read_u8(ml_reader *r) { return (uint8_t)little(r, 1); }
uint16_t ml_read_u16(ml_reader *r) { return (uint16_t)little(r, 2); }
uint32_t ml_read_u32(ml_reader *r) { return (uint32_t)little(r, 4); }
uint64_t ml_read_u64(ml_reader *r) { return little(r, 8); }
