// What an emulated model talks about. Written for this purpose: plain sentences whose words recur, so that leaving one
// at a common word and going on in another still reads like English. It ends as its paragraphs do, because it is read as a ring.

export const PAGE = `The first thing to look at is the shape of the problem. A small change in the input can lead to a large change \
in the result, so it is worth being careful with the details. In practice, most of the time is spent waiting for something \
else, and the rest is spent moving data from one place to another. There are several ways to deal with this. One of them is \
to keep the data close to the place where it is used. Another is to do more than one thing at a time. Both of them have a \
price, and the price is paid in different ways. It is easy to see why people prefer the simple way at first. The simple way \
works well until the system grows, and then it does not work at all. A good plan takes this into account from the start.

For example, consider a team that wants to serve many requests with a small number of machines. Each request has a prompt, \
and the answer is produced one word at a time. The time to the first word depends on the length of the prompt, while the time \
between the words depends on the size of the model. If many requests come at the same time, some of them have to wait. The \
question is which of them should wait, and for how long. There is no single answer to this question, because it depends on \
what the users expect. Some of them read the answer as it comes, and others only look at the end. A fair rule gives each of \
them a share of the machine, and a good rule does so without wasting any of it.

The second thing to look at is the cost. The cost of a system is more than the price of the parts, because the system has to \
be run, cooled and repaired. A part that uses less energy may be worth more in the end than a part that is faster. In the same \
way, a system that is easy to understand is often better than one that is a little faster but hard to change. People who work \
with such systems every day know this well. They look at the whole picture before they look at the parts, and they measure \
before they decide. It is a good habit to write down what was measured, how it was measured, and what was left out.

In other words, there is a balance to be found between speed, cost and effort. The best way to find it is to start with a small \
example and to learn from the result. If the result is not what was expected, the reason is usually interesting. It may be \
that the example was too small, or that the question was not the right one. Either way, the next step is clear. Change one thing \
at a time, and compare the new result with the old one. After a few steps the answer is often different from the first guess, \
but it is based on facts. That is the point of the whole exercise, and it is the reason why it is worth the time. The rest of \
the work is to explain the result to others in a way that they can use.

`;

/** Each as it stands in the page, and what is between paragraphs. */
export const pageWords = (): string[] => [...new Set(PAGE.match(/[A-Za-z]+|\n\n/g))];
