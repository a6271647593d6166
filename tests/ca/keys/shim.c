/* A PKCS#11 module in front of a real one, that has bad days on command.
 *
 * SHIM_MODULE names the real module, SHIM_CONTROL a file that tests and module map into memory (see shim.py):
 * what stands in it holds from the next call on, in every process. Built with: gcc -shared -fPIC -o shim.so shim.c -ldl
 *
 * Only the head of PKCS#11 v2.40 is declared here: a function list is a version and 68 pointers in the order of the
 * standard, and every argument of the functions that are wrapped fits into a machine word.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef unsigned long word;
typedef word (*function)(word, word, word, word, word, word, word, word);
typedef struct { unsigned char version[2]; function call[68]; } list;

enum { GET_SLOT_LIST = 4, GET_TOKEN_INFO = 6, OPEN_SESSION = 12, LOGIN = 18, GET_ATTRIBUTE_VALUE = 24,
       FIND_OBJECTS_INIT = 26, FIND_OBJECTS = 27, SIGN_INIT = 42, SIGN = 43 };

enum { WELL, GONE, SLOW, HANGING, WRONG, SESSIONS_INVALID, SESSIONS_CLOSED, OPERATION_ACTIVE, PIN_INCORRECT, PIN_LOCKED,
       REPLACED, GENERAL_ERROR, HOST_MEMORY, ABORTING, SEGFAULTING };

enum { CKR_OK = 0, CKR_HOST_MEMORY = 2, CKR_GENERAL_ERROR = 5, CKR_FUNCTION_FAILED = 6, CKR_DEVICE_REMOVED = 0x32,
       CKR_OPERATION_ACTIVE = 0x90, CKR_PIN_INCORRECT = 0xa0, CKR_PIN_LOCKED = 0xa4, CKR_SESSION_CLOSED = 0xb0,
       CKR_SESSION_HANDLE_INVALID = 0xb3, CKR_TOKEN_NOT_PRESENT = 0xe0 };

/* The layout of shim.py. */
struct control { int fault, milliseconds, logins, signs, hanging; };

static volatile struct control *control;
static list *real, shown;
static volatile char spoilt[4096]; /* sessions whose C_Sign failed: CKR_OPERATION_ACTIVE for ever */

#define PASS(number) real->call[number](a, b, c, d, e, f, g, h)
#define WRAPPED(name) static word name(word a, word b, word c, word d, word e, word f, word g, word h)

/* What a call that needs a session answers on this day. */
static word broken(word session) {
    switch (control->fault) {
    case GONE: return CKR_DEVICE_REMOVED;
    case SESSIONS_INVALID: return CKR_SESSION_HANDLE_INVALID;
    case SESSIONS_CLOSED: return CKR_SESSION_CLOSED;
    default: return CKR_OK;
    }
}

WRAPPED(get_slot_list) {
    word answer = PASS(GET_SLOT_LIST);
    if (control->fault == GONE && answer == CKR_OK) *(word *)c = 0;
    return answer;
}

WRAPPED(get_token_info) {
    if (control->fault == GONE) return CKR_TOKEN_NOT_PRESENT;
    word answer = PASS(GET_TOKEN_INFO);
    if (control->fault == REPLACED && answer == CKR_OK) memcpy((char *)b + 80, "anotherone", 10); /* its serial number */
    return answer;
}

WRAPPED(open_session) {
    if (control->fault == GONE) return CKR_TOKEN_NOT_PRESENT;
    word answer = PASS(OPEN_SESSION);
    if (answer == CKR_OK) spoilt[*(word *)e % sizeof spoilt] = 0;
    return answer;
}

WRAPPED(login) {
    __sync_add_and_fetch(&control->logins, 1);
    if (control->fault == PIN_INCORRECT) return CKR_PIN_INCORRECT;
    if (control->fault == PIN_LOCKED) return CKR_PIN_LOCKED;
    return broken(a) ? broken(a) : PASS(LOGIN);
}

WRAPPED(get_attribute_value) { return broken(a) ? broken(a) : PASS(GET_ATTRIBUTE_VALUE); }

WRAPPED(find_objects_init) { return broken(a) ? broken(a) : PASS(FIND_OBJECTS_INIT); }

WRAPPED(find_objects) {
    word answer = broken(a) ? broken(a) : PASS(FIND_OBJECTS);
    if (control->fault == REPLACED && answer == CKR_OK) *(word *)d = 0; /* it holds other keys */
    return answer;
}

WRAPPED(sign_init) {
    if (spoilt[a % sizeof spoilt]) return CKR_OPERATION_ACTIVE;
    return broken(a) ? broken(a) : PASS(SIGN_INIT);
}

/* A test may hang and release it again and again: whoever hangs goes on when the day is over, however late. */
static void hang(void) {
    __sync_add_and_fetch(&control->hanging, 1);
    while (control->fault == HANGING) usleep(5000);
    __sync_add_and_fetch(&control->hanging, -1);
}

WRAPPED(sign) { /* session, data, length, signature, length of the signature */
    __sync_add_and_fetch(&control->signs, 1);
    switch (control->fault) {
    case SLOW: usleep(1000 * control->milliseconds); break;
    case HANGING: hang(); break;
    case OPERATION_ACTIVE: spoilt[a % sizeof spoilt] = 1; return CKR_FUNCTION_FAILED;
    case GENERAL_ERROR: return CKR_GENERAL_ERROR;
    case HOST_MEMORY: return CKR_HOST_MEMORY;
    case ABORTING: abort();
    case SEGFAULTING: raise(SIGSEGV);
    }
    word answer = broken(a) ? broken(a) : PASS(SIGN);
    if (control->fault == WRONG && answer == CKR_OK && d) ((char *)d)[*(word *)e - 1] ^= 1;
    return answer;
}

word C_GetFunctionList(list **answer) {
    if (!real) {
        int file = open(getenv("SHIM_CONTROL"), O_RDWR);
        control = mmap(0, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        close(file);
        word (*get)(list **) = dlsym(dlopen(getenv("SHIM_MODULE"), RTLD_NOW | RTLD_LOCAL), "C_GetFunctionList");
        if (control == MAP_FAILED || !get || get(&real) != CKR_OK) return CKR_GENERAL_ERROR;
        shown = *real;
        shown.call[GET_SLOT_LIST] = get_slot_list;
        shown.call[GET_TOKEN_INFO] = get_token_info;
        shown.call[OPEN_SESSION] = open_session;
        shown.call[LOGIN] = login;
        shown.call[GET_ATTRIBUTE_VALUE] = get_attribute_value;
        shown.call[FIND_OBJECTS_INIT] = find_objects_init;
        shown.call[FIND_OBJECTS] = find_objects;
        shown.call[SIGN_INIT] = sign_init;
        shown.call[SIGN] = sign;
    }
    *answer = &shown;
    return CKR_OK;
}
