/* A program of a light host: prints what the true program answered to the same words, and costs next to nothing.
 *
 * Answers are files named by the words of the call, in LIGHT/answers/NAME/ADDRESS/ (the address of this host that ssh
 * came to) or else in LIGHT/answers/NAME/.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int count, char **words) {
    char name[201] = "", path[1024], part[65536];
    const char *slash = strrchr(words[0], '/'), *program = slash ? slash + 1 : words[0];
    size_t used = 0;
    for (int index = 1; index < count; index++) {
        for (const char *letter = words[index]; *letter && used < 200; letter++)
            name[used++] = *letter == '/' ? '%' : *letter;
        if (used < 200)
            name[used++] = ' ';
    }
    name[used] = 0;
    int answer = -1;
    char address[64] = "";
    const char *connection = getenv("SSH_CONNECTION"); /* client, its port, this host's address, its port */
    if (connection && sscanf(connection, "%*s %*s %63s", address) == 1) {
        snprintf(path, sizeof path, LIGHT "/answers/%s/%s/%s", program, address, name);
        answer = open(path, O_RDONLY);
    }
    if (answer < 0) {
        snprintf(path, sizeof path, LIGHT "/answers/%s/%s", program, name);
        answer = open(path, O_RDONLY);
    }
    if (answer < 0) {
        fprintf(stderr, "%s\n", path);
        return 1;
    }
    ssize_t size;
    while ((size = read(answer, part, sizeof part)) > 0)
        if (write(1, part, size) != size)
            return 1;
    return 0;
}
